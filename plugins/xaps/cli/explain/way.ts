/** The first steps: is the domain of an address local, whose is the address, and which source tells of new mail. */

import path from 'node:path'
import { noLog } from '../../base/log.ts'
import { type Config, pathIn, pushSources } from '../../config/config.ts'
import { readIfThere } from '../../config/ini.ts'
import { type Address, addressWithoutDetail } from '../../delivery/address.ts'
import { openUserLookup } from '../../delivery/recipients.ts'
import { UserDb } from '../../delivery/userdb.ts'
import type { UserDbAnswer } from '../../delivery/userdb-protocol.ts'
import { DECISIONS } from '../../observe/decisions.ts'
import type { Step, Steps } from './step.ts'

export interface Way {
  readonly steps: Steps
  /** Canonical; undefined where Dovecot knows none, or the name is too long to have registered. */
  readonly user: string | undefined
}

/** From `address` to its user. Asks Dovecot's userdb, where one is configured. Never rejects. */
export async function wayOf(config: Config, address: Address): Promise<Way> {
  const userDb = askedUserDb(config)
  const lists = { get: (file: string) => listIn(config, file) }
  const lookup = openUserLookup(config, lists, noLog, userDb)
  try {
    const bySmtp = (await lookup.resolve([address], 'SMTP')).relayed === 0
    const [user] = (await lookup.resolve([address], 'LMTP')).users
    const steps = [
      domainStep(config, address, bySmtp),
      userStep(config, address, user, userDb?.answer),
      sourceStep(config),
    ]
    return { steps, user }
  } finally {
    lookup.close()
  }
}

function domainStep(config: Config, { host }: Address, bySmtp: boolean): Step {
  const about = 'domain'
  if (bySmtp) return { about, level: 'ok', text: `domain ${host}: local` }
  const text = `domain ${host}: local over LMTP only`
  // Dovecot delivers what it tells of.
  if (pushSources(config).newMail !== 'haraka') return { about, level: 'ok', text }
  const remedy = `mail that Haraka hands over by SMTP is ${DECISIONS.relayed}; if it is, name it in config/host_list or [delivery] domains`
  return { about, level: 'warn', text, remedy, decision: 'relayed' }
}

function userStep(
  { users }: Config,
  address: Address,
  user: string | undefined,
  answer: UserDbAnswer | undefined,
): Step {
  const about = 'user'
  const asked = addressWithoutDetail(address, users.recipientDelimiter)
  if (answer?.kind === 'unknown')
    return {
      about,
      level: 'FAIL',
      text: `user: ${asked} is ${DECISIONS.unknown_user}`,
      remedy: `doveadm user ${asked} asks Dovecot the same`,
      decision: 'unknown_user',
    }
  if (user === undefined)
    return { about, level: 'FAIL', text: `user: ${asked} is longer than any name that can have registered` }
  const text = `user: ${user}`
  const data = { user }
  if (answer?.kind === 'user') return { about, level: 'ok', text: `${text}, by Dovecot's userdb`, data }
  const byRule = `${text}, by [users] username = ${users.username}`
  if (answer === undefined) return { about, level: 'ok', text: byRule, data }
  return {
    about,
    level: 'warn',
    text: `${byRule}, for Dovecot's userdb does not answer: ${answer.reason}`,
    remedy: '`xaps check` says what keeps it from answering the user of the service',
    data,
  }
}

const SOURCES = {
  haraka: "Haraka's hooks ([delivery] source = haraka)",
  plugin: "Dovecot's XAPS plugin ([delivery] source = plugin); Haraka's hooks push nothing",
  events: "Dovecot's event exporter ([delivery] source = events); Haraka's hooks push nothing",
} as const

function sourceStep(config: Config): Step {
  const { newMail: source } = pushSources(config)
  return { about: 'source', level: 'ok', text: `new mail is told by ${SOURCES[source]}`, data: { source } }
}

interface AskedUserDb extends Pick<UserDb, 'lookup' | 'close'> {
  /** The last one. */
  answer?: UserDbAnswer
}

/** The configured userdb, of which the answer is kept. */
function askedUserDb(config: Config): AskedUserDb | undefined {
  const socket = pathIn(config, config.users.dovecotUserdb)
  if (socket === '') return undefined
  const userDb = new UserDb(socket, noLog)
  const asked: AskedUserDb = {
    async lookup(name) {
      asked.answer = await userDb.lookup(name)
      return asked.answer
    },
    close: () => userDb.close(),
  }
  return asked
}

/** A list file of Haraka's, read without Haraka: one entry a line, comments begin with # or ;. */
function listIn({ harakaDir }: Config, file: string): string[] {
  const lines = readIfThere(path.join(harakaDir, 'config', file)).split('\n')
  return lines.map(line => line.trim()).filter(line => !/^(?:$|[#;])/.test(line))
}
