import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { corpusOf, describe, fuzz } from '../fuzz/engine.ts'
import { targets } from '../fuzz/targets.ts'

/** XAPS_FUZZ_SEED repeats a run; `npm run fuzz` goes on from there for as long as one likes. */
const SEED = Number(process.env.XAPS_FUZZ_SEED ?? 20_260_101)
const ITERATIONS = 20_000

test(`no mutated request breaks a parser (XAPS_FUZZ_SEED=${SEED})`, () => {
  const { accepted, finding } = fuzz(SEED, ITERATIONS)
  if (finding) assert.fail(describe(finding, SEED))
  for (const name of Object.keys(targets))
    assert.ok(
      (accepted[name] ?? 0) >= ITERATIONS / 200,
      `${name} accepted ${accepted[name]}: the mutations are too coarse`,
    )
})

test('no bytes whatever break a parser', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      for (const target of Object.values(targets)) target(Buffer.from(bytes))
    }),
    { numRuns: 2000 },
  )
})

test('one seed makes one run', () => {
  const inputs = (): string[] => {
    const seen: string[] = []
    fuzz(7, 50, {
      record(input) {
        seen.push(input.toString('hex'))
        return 'refused'
      },
    })
    return seen
  }
  assert.deepEqual(inputs(), inputs())
  assert.deepEqual(corpusOf(7), corpusOf(7))
})

test('a broken parser is found out, with a small input', () => {
  const { finding } = fuzz(SEED, ITERATIONS, {
    broken(input) {
      if (input.includes('\\u0000')) throw new TypeError('broken')
      return 'refused'
    },
  })
  assert.equal(finding?.input.toString(), '\\u0000')
  assert.match(describe(finding, SEED), /target broken breaks on 6 bytes/)
})
