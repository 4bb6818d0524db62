/** What the companion knows: whether pushes wait now, and what became of the user's last mail. */

import { maskUser, reasonOf } from '../../base/log.ts'
import { type Config, pathIn, pushSources } from '../../config/config.ts'
import { DECISIONS, type Decision } from '../../observe/decisions.ts'
import type { Answered, Health, Overview } from '../../observe/overview.ts'
import type { Decided } from '../../observe/report.ts'
import { askOverview } from '../ask.ts'
import { adviceWithoutAnswer } from '../check/companion.ts'
import { iso } from '../times.ts'
import type { Step, Steps } from './step.ts'

/** Asks the companion about `user` (canonical). Never rejects. */
export async function lastOf(config: Config, user: string): Promise<Steps> {
  const socket = pathIn(config, config.registration.socket)
  try {
    const { overview, last } = await askOverview(socket, user)
    return [...healthSteps(config, overview), lastMailStep(config, { overview, ...(last && { last }) })]
  } catch (error) {
    return withoutCompanion(config, socket, user, error)
  }
}

const LEVELS = { works: 'ok', impaired: 'warn', down: 'FAIL' } as const satisfies Record<
  Health['state'],
  Step['level']
>

function healthSteps(config: Config, { health, processes, events }: Overview): Steps {
  const { state, sentence, since, remedy } = health
  const pending = processes.reduce((sum, process) => sum + process.pending, 0)
  const waiting = pending === 0 ? '' : `; devices of all users that wait for a push: ${pending}`
  const now: Step = {
    about: 'push',
    level: LEVELS[state],
    text: `now: ${sentence}${since === undefined ? '' : ` (since ${iso(since)})`}${waiting}`,
    ...(remedy && { remedy }),
    data: { state, pending, ...(since !== undefined && { since: iso(since) }) },
  }
  if (events > 0 || pushSources(config).newMail !== 'events') return [now]
  return [
    now,
    {
      about: 'source',
      level: 'warn',
      text: "no event of Dovecot's exporter has come since the companion started",
      remedy:
        "has a mail been delivered, and does event_exporter in Dovecot's configuration lead to [registration] listen or [delivery] events_socket?",
    },
  ]
}

/** Decisions on a mail that should have been pushed, and has not been by now. */
const AMISS: readonly Decision[] = ['waits_apple', 'waits_store', 'expired', 'refused']

function lastMailStep(config: Config, { overview, last }: Answered): Step {
  const about = 'mail'
  if (last === undefined) {
    const since = Math.min(...overview.processes.map(({ startedAt }) => startedAt))
    // Each host has a companion of its own.
    const isShared = !config.store.uri.startsWith('lmdb:')
    return {
      about,
      level: 'ok',
      text: `last mail: none of this user since ${iso(since)}`,
      ...(isShared && { remedy: 'that is, of this host; `xaps explain` on the other hosts tells of theirs' }),
    }
  }
  const { at, decision, mail } = last
  const name = mail === undefined ? '' : ` (mail ${mail})`
  return {
    about,
    level: AMISS.includes(decision) ? 'warn' : 'ok',
    text: `last mail: ${iso(at)}, ${DECISIONS[decision]}${name}`,
    remedy: whereToLook(config, last),
    decision,
    data: { at: iso(at), ...(mail !== undefined && { mail }) },
  }
}

/** Its lines stand in the log of the process that decided; by a session of Dovecot's in Dovecot's log, too. */
function whereToLook(config: Config, { user, mail }: Pick<Decided, 'user' | 'mail'>): string {
  const log = `journalctl -u ${config.registration.enabled ? 'haraka' : 'xaps'}, or its log file`
  if (mail === undefined)
    return `grep -F '${maskUser(user)}' in its log (${log}) finds the mails of this user`
  const by = pushSources(config).newMail === 'haraka' ? 'from SMTP to Apple' : "as Dovecot's log does"
  // A delivery of Haraka's has the name of its mail, and a number of its own after that.
  const [name] = /^[\dA-F-]{36}\.\d+/.exec(mail) ?? [mail]
  return `grep ${name} in the log (${log}) follows it ${by}`
}

function withoutCompanion(config: Config, socket: string, user: string, error: unknown): Steps {
  const [why, advice] =
    socket === ''
      ? ['[registration] socket is empty, so no companion can be asked', '']
      : [
          `no companion answers at ${socket}: ${reasonOf(error)}: phones cannot register, and whether pushes wait is not known`,
          `${adviceWithoutAnswer(config, socket, error).text}; `,
        ]
  return [
    {
      about: 'companion',
      level: 'warn',
      text: why,
      remedy: `${advice}\`xaps check\` tries Apple and the store`,
    },
    {
      about: 'mail',
      level: 'warn',
      text: 'last mail: not known without a companion',
      remedy: whereToLook(config, { user }),
    },
  ]
}
