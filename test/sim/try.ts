import { planOf } from './plan.ts'
import { World } from './world.ts'

async function main() {
  const from = Number(process.argv[2] ?? 1),
    count = Number(process.argv[3] ?? 1)
  const t = performance.now()
  const kinds: Record<string, number[]> = {}
  for (let seed = from; seed < from + count; seed++) {
    const world = new World(planOf(seed), { survives: false })
    await world.play()
    if (count === 1) {
      console.log(world.trace.join('\n'))
      console.log(world.oracle.broken)
    } else
      for (const { promise, how } of world.oracle.broken.slice(0, 1)) {
        ;(kinds[promise] ??= []).push(seed)
        if ((kinds[promise] as number[]).length < 4) console.log(seed, promise, how)
      }
  }
  console.log(kinds, (performance.now() - t) / count, 'ms')
}
void main()
