/** `xaps explain`: the way of mail to an address to the phones of its user, step by step, and where it ends. */

import { loadCredentials } from '../apns/credentials.ts'
import { reasonOf } from '../base/log.ts'
import { withoutPassword } from '../base/store-uri.ts'
import type { Config } from '../config/config.ts'
import { type Address, addressWithoutDetail, parseAddress } from '../delivery/address.ts'
import { DECISIONS } from '../observe/decisions.ts'
import { type CommandSpec, Failure, print, withExistingStore } from './context.ts'
import { type Asked, devicesOf, nearSteps } from './explain/devices.ts'
import { lastOf } from './explain/last.ts'
import { isEnd, type Step, type Steps } from './explain/step.ts'
import { wayOf } from './explain/way.ts'
import { Interrupted } from './interruption.ts'
import { printFinding } from './paragraph.ts'

export const explain: CommandSpec = {
  name: 'explain',
  description: 'say step by step whose devices are pushed for mail to an address, and why not',
  arguments: [['<address>']],
  options: { '--json': 'one JSON object a line, for each step' },
  async run(config, { json }, text) {
    let ends = 0
    for await (const step of stepsOf(config, addressIn(text))) {
      if (json) print(JSON.stringify(asData(step)))
      else printFinding(step, step.remedy)
      if (isEnd(step)) ends += 1
    }
    if (ends > 0) throw new Failure(`${text}: its mail wakes no phone now; FAIL says why`)
  },
}

function asData({ data, ...step }: Step): object {
  return { ...step, ...data }
}

async function* stepsOf(config: Config, address: Address): AsyncGenerator<Step> {
  const { user, steps } = await wayOf(config, address)
  yield* steps
  if (user === undefined) return yield* await unknownSteps(config, address)
  const credentials = credentialsOf(config)
  yield* credentials.steps
  yield* await storeSteps(config, store =>
    devicesOf(store, { user, users: config.users, topics: credentials.topics, now: Date.now() }),
  )
  yield* await lastOf(config, user)
}

/** A name that Dovecot does not know may be another form of one that has registered. */
function unknownSteps({ users, ...config }: Config, address: Address): Promise<Steps> {
  const user = addressWithoutDetail(address, users.recipientDelimiter)
  return storeSteps({ ...config, users }, store => nearSteps(store, { user, users }))
}

function credentialsOf({ apns, harakaDir }: Config): Pick<Asked, 'topics'> & { readonly steps: Steps } {
  try {
    return { topics: loadCredentials(apns, harakaDir).topics, steps: [] }
  } catch (error) {
    const remedy = 'docs/credentials.md'
    const step = { about: 'push', level: 'FAIL', text: `credentials: ${reasonOf(error)}`, remedy } as const
    return { topics: undefined, steps: [step] }
  }
}

/** What `ask` finds in the store; where the store does not answer, that is the step. */
async function storeSteps(
  config: Config,
  ask: Parameters<typeof withExistingStore<Steps>>[1],
): Promise<Steps> {
  try {
    return await withExistingStore(config, ask)
  } catch (error) {
    if (error instanceof Interrupted) throw error
    const text = `store ${withoutPassword(config.store.uri)}: ${reasonOf(error)}: mail ${DECISIONS.waits_store}`
    const remedy = 'is Redis up, is the disk full, is this run as root? `xaps check` writes to it and tells'
    return [{ about: 'store', level: 'FAIL', text, remedy, decision: 'waits_store' }]
  }
}

/** An address as in an envelope, with or without angle brackets. */
function addressIn(text: string): Address {
  const address = parseAddress(text.replace(/^<(.*)>$/, '$1'))
  if (address.user === '' || !text.includes('@'))
    throw new Failure(`${text}: expected an address such as alice@example.org`)
  return address
}
