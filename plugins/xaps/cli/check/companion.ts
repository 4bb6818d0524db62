/**
 * Checks of the companion at its Unix socket: whether one answers, whether it is that of this configuration, and whether
 * Dovecot may connect to it.
 */

import { existsSync, statSync } from 'node:fs'
import path from 'node:path'
import { findGroup, groupId, groupName, userId } from '../../base/accounts.ts'
import { reasonOf } from '../../base/log.ts'
import { digestOf } from '../../config/changes.ts'
import { type Config, pathIn, pushSources } from '../../config/config.ts'
import { DOVECOT_GROUP } from '../../process/socket-owner.ts'
import { stateOwner, storeWord } from '../../state.ts'
import { askCompanion, fieldsOf } from '../ask.ts'
import { hindranceTo, type Viewer } from './access.ts'
import { type Finding, fail, namesOf, ok, ownIds, warn } from './finding.ts'
import { directoryOf, idsOf, type ProcessOnHost, processes, realOrSame, wordsOf } from './processes.ts'

/** What the companion says of itself. */
type Fields = ReturnType<typeof fieldsOf>

/** Whether the companion is up is told by the last value. */
export async function checkSocket(config: Config): Promise<readonly [readonly Finding[], boolean]> {
  const where = pathIn(config, config.registration.socket)
  try {
    const said = await askCompanion(where)
    const fields = fieldsOf(said)
    const about = [
      ...checkInstance(config, where, fields),
      ...checkInUse(config, fields),
      ...checkAccess(config, where),
    ]
    return [[ok(`companion at ${where}: ${said}`), ...about, ...checkEvents(config, fields)], true]
  } catch (error) {
    return [[noAnswer(config, where, error)], false]
  }
}

export function hintToStart({ registration }: Config): string {
  return registration.enabled ? 'is Haraka running?' : 'is `xaps serve` running?'
}

function noAnswer(config: Config, where: string, error: unknown): Finding {
  const { level, text } = adviceWithoutAnswer(config, where, error)
  return { level, text: `companion at ${where} does not answer: ${reasonOf(error)}; ${text}` }
}

/** What to do when the socket `where` gave `error` for an answer, and whether that is a fault or only not started yet. */
export function adviceWithoutAnswer(config: Config, where: string, error: unknown): Finding {
  const directory = path.dirname(where)
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EACCES') return warn(`${namesOf(ownIds())} may not connect to it: run this as root`)
  if (code === 'ENOENT' && !existsSync(directory))
    return warn(
      `there is no directory ${directory}: start Dovecot when it is Dovecot's, or set [registration] socket`,
    )
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return warn(hintToStart(config))
  return fail(
    `something else has this socket, or a companion that hangs: stop it (an old xapsd: systemctl disable --now xapsd), then restart ${nameOf(config)}`,
  )
}

function nameOf({ registration }: Config): string {
  return registration.enabled ? 'Haraka' : '`xaps serve`'
}

/** Whether the companion that answers works with this configuration's store and as its user. */
function* checkInstance(config: Config, where: string, { pid, store }: Fields): Generator<Finding> {
  const words = wordsOf(Number(pid))
  const other = directoryOf(words)
  const who = `process ${pid}${other === undefined ? '' : ` of ${other}`}`
  if (store === undefined)
    yield warn(`the companion at ${where} is of an earlier version: restart ${nameOf(config)}`)
  else if (
    String(store) !== storeWord(config) ||
    (other ?? realOrSame(config.harakaDir)) !== realOrSame(config.harakaDir)
  )
    yield fail(
      `the companion at ${where} (${who}) is not this configuration's: it works with another directory or store than ${config.harakaDir}; restart it after a change, or stop it, or give each a [registration] socket of its own`,
    )
  else yield* checkUser(config, Number(pid), words)
}

/** Whether the companion works with what the file says. */
function* checkInUse(config: Config, { configuration }: Fields): Generator<Finding> {
  if (configuration === undefined || String(configuration) === digestOf(config)) return
  yield warn(
    'the companion works with another configuration than the file: a change is taken up within 10 seconds, or needs a restart, which the log says',
  )
}

function* checkUser(config: Config, pid: number, words: readonly string[]): Generator<Finding> {
  const ids = words.includes('serve') ? idsOf(pid) : undefined
  const owner = stateOwner(config)
  if (ids === undefined || ids.uid === owner.uid) return
  yield warn(
    `the companion (process ${pid}) runs as ${namesOf(ids)}, but store and spool are for ${namesOf(owner)}: set user and group in smtp.ini, or in the unit of xaps serve, to the same`,
  )
}

/** Whether Dovecot's processes can open the socket: they run as any user, and have its internal group. */
export function* checkAccess({ registration }: Config, where: string): Generator<Finding> {
  const { socketUser, socketGroup } = registration
  const gid = socketGroup === '' ? findGroup(DOVECOT_GROUP) : groupId(socketGroup)
  const viewer: Viewer = { uid: socketUser === '' ? undefined : userId(socketUser), gid: gid ?? -1 }
  const hindrance = hindranceTo(where, viewer)
  if (hindrance === undefined) return
  const { path: place, access } = hindrance
  const group = gid === undefined ? 'no group dovecot here' : `group ${groupName(gid)}`
  const isSocket = place.endsWith(path.basename(where)) && statSync(place).isSocket()
  const remedy = isSocket
    ? 'set [registration] socket_group to their group (doveconf -h default_internal_group) with socket_mode = 0660, or socket_user to their user, and restart'
    : `chmod o+x ${place}, or set [registration] socket to a place such as /run/dovecot/xapsd.sock`
  // Without such a group here Dovecot may be in a container of its own, or have another one.
  const judged = gid === undefined ? warn : fail
  yield judged(
    `Dovecot's imap and lmtp processes (${group}) may not open ${where}: ${place} is ${access}; ${remedy}`,
  )
}

/** Others that may come between Dovecot and the companion. */
export function* checkRivals(config: Config): Generator<Finding> {
  const all = processes()
  for (const { pid, words } of all.filter(isXapsd))
    yield warn(
      `another daemon for XAPS runs here, process ${pid} (${words.join(' ')}): Dovecot may register phones there; systemctl disable --now xapsd`,
    )
  const here = realOrSame(config.harakaDir)
  const ours = all.filter(({ words }) => directoryOf(words) === here).map(({ pid }) => pid)
  if (ours.length > 1)
    yield fail(
      `${ours.length} companions run for ${here} (processes ${ours.join(', ')}), and one at most has the listeners: [registration] enabled = true is for Haraka alone, false for xaps serve alone`,
    )
}

function isXapsd({ words: [command = '', script = ''] }: ProcessOnHost): boolean {
  return [command, script].some(word => /^xapsd(?:\.py)?$/.test(path.basename(word)))
}

/** Whether the event exporter of Dovecot's, where it is the source of new mail, has told of anything. */
function checkEvents(config: Config, { events, last_event: last, up_seconds: up }: Fields): Finding[] {
  if (pushSources(config).newMail !== 'events') return []
  if (events !== 0) return [ok(`events of Dovecot's exporter: ${events}, the last at ${last}`)]
  return [
    warn(
      `events of Dovecot's exporter: none in the ${up} seconds since the companion started; has a mail been delivered, and does event_exporter in Dovecot's configuration lead to [registration] listen or [delivery] events_socket?`,
    ),
  ]
}
