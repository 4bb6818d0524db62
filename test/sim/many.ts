import { planOf } from './plan.ts'
import { run } from './run.ts'

async function main() {
  const from = Number(process.argv[2] ?? 1),
    count = Number(process.argv[3] ?? 1)
  const t = performance.now()
  const kinds: Record<string, number[]> = {}
  for (let seed = from; seed < from + count; seed++) {
    const { broken } = await run(planOf(seed), { survives: false })
    for (const { promise, how } of broken.slice(0, 1)) {
      const k = (kinds[promise] ??= [])
      k.push(seed)
      if (k.length < 4) console.log(seed, promise, how)
    }
  }
  console.log(
    Object.fromEntries(Object.entries(kinds).map(([k, v]) => [k, [v.length, ...v.slice(0, 12)].join(' ')])),
    (performance.now() - t) / count,
    'ms',
  )
}
void main()
