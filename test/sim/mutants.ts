/**
 * Faults that are put into the production code on purpose, a line each: the simulation must find every one, or it proves
 * nothing. Texts are those of the compiled files. Some are faults that it has found, and that are mended.
 */

import type { Promised } from './promises.ts'
import type { Mutation } from './realm.ts'
import { blocksOf, runBlocks } from './threads.ts'

export interface Mutant extends Mutation {
  readonly name: string
  /** The promises that it may be found by. */
  readonly breaks: readonly Promised[]
}

const mutant = (
  name: string,
  breaks: readonly Promised[],
  file: string,
  text: string,
  replacement: string,
): Mutant => ({ name, breaks, file, text, replacement })

export const MUTANTS: readonly Mutant[] = [
  mutant(
    'a push covers what comes while it is under way',
    ['covered'],
    'push/rule',
    'return at <= startedAt;',
    'return true;',
  ),
  mutant(
    'a claim covers events of the second after it',
    ['covered'],
    'device/claim',
    'if (last >= now - request.ageMs)',
    'if (last >= now - request.ageMs - 1000)',
  ),
  mutant(
    'a process that waits for Apple takes its own claim for another one',
    ['covered'],
    'push/claiming',
    'entry.held = claim.id;',
    ';',
  ),
  mutant(
    'events are forgotten when a push fails',
    ['covered'],
    'push/coalesce',
    'if (entry.inFlight)\n            entry.pending =',
    'if (false)\n            entry.pending =',
  ),
  mutant(
    'events are forgotten when the store does not answer',
    ['covered'],
    'push/lookup',
    'catch (error) {\n            this.#note(event);',
    'catch (error) {',
  ),
  mutant(
    '429 is the end of a push',
    ['covered'],
    'push/consequences',
    "'later device': { breaker: 'answered', entry: 'backOff'",
    "'later device': { breaker: 'answered', entry: 'done'",
  ),
  mutant(
    'no window between processes',
    ['window'],
    'device/claim',
    'const ms = last + request.windowMs - now;',
    'const ms = last - now;',
  ),
  mutant(
    'a claim that no other process knows of is remembered',
    ['window'],
    'device/lmdb/claims',
    '?? this.#decideAlone(line);',
    '?? this.#apply(line);',
  ),
  mutant(
    'a spooled registration is acknowledged before it is on disk',
    ['kept', 'alive'],
    'registration/spool',
    'await local.update(user, record => {\n                const live',
    'void local.update(user, record => {\n                const live',
  ),
  mutant(
    'the spool forgets what the store did not take',
    ['kept'],
    'registration/spool',
    'saved.some(other =>',
    'devices.some(other =>',
  ),
  mutant(
    'a registration that has waited takes the place of a later one',
    ['kept'],
    'registration/spool',
    'const live = !isOvertaken(record, registration, this.#clock.now());',
    'const live = true;',
  ),
  mutant(
    'a change that another process came before counts as made',
    ['kept', 'covered', 'younger'],
    'device/compare-and-set',
    'if (changed !== value && !(await entries.replace(key, version, changed)))',
    'if (changed !== value && (await entries.replace(key, version, changed), false))',
  ),
  mutant(
    'a 410 removes whatever is registered',
    ['younger', 'kept'],
    'device/record',
    'if (known && known.lastSeen > at)',
    'if (false)',
  ),
  mutant(
    'nothing is tried again after an outage of Apple',
    ['settled'],
    'push/breaker',
    'this.#timer = undefined;\n        this.#parts.resume();',
    'this.#timer = undefined;',
  ),
  mutant(
    'users that wait for the store are not looked up when it is back',
    ['covered'],
    'push/lookup',
    'if (this.#backoff.failures === 0)\n            this.#catchUp();',
    '',
  ),
  mutant(
    'what is due waits for a clock that was set back',
    ['settled', 'covered'],
    'push/coalesce',
    'Math.min(entry.pending?.due ?? 0, now + this.#rule.changeDelayMs)',
    '(entry.pending?.due ?? 0)',
  ),
  mutant(
    "a push of a process's own covers what its clock says is older",
    ['covered'],
    'push/claiming',
    "return own.kind === 'wait' ? own",
    "return own.kind !== 'granted' ? own",
  ),
  mutant(
    'each change of a state that flaps has its line',
    ['quiet'],
    'base/transition-log',
    'if (this.#said.has(state)) {',
    'if (false) {',
  ),
  mutant(
    'a store that does not answer to a claim is an error',
    ['alive'],
    'push/claiming',
    'entry.unsure = true;\n            return ALLOWED;',
    'throw error;',
  ),
]

/** The seed that finds a mutant, and the promise that is broken; undefined when none of `seeds` does. */
export async function finding(
  mutation: Mutant,
  { seed, runs, steps }: { readonly seed: number; readonly runs: number; readonly steps: number },
): Promise<readonly [seed: number, promise: string] | undefined> {
  let found: readonly [number, string] | undefined
  await runBlocks(blocksOf(seed, runs, { steps, mutation }, 20), (_, { failed }) => {
    const [first] = failed.filter(([, promise]) => mutation.breaks.some(one => one === promise))
    if (first && (!found || first[0] < found[0])) found = first
    return found === undefined
  })
  return found
}
