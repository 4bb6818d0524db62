import { planOf } from './plan.ts'
import { shrink, story } from './run.ts'

async function main() {
  for (const seed of process.argv.slice(2).map(Number)) {
    const small = await shrink(planOf(seed), { survives: false })
    console.log(await story(small, { survives: false }))
  }
}
void main()
