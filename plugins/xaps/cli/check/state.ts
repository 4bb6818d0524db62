/**
 * Checks of what the service's user has to be able to do: the devices in the store are counted, store and spool written, Dovecot's
 * userdb asked. Judges by trying, as the user of this process. Everything that is written is removed again.
 */

import { randomUUID } from 'node:crypto'
import * as fs from 'node:fs'
import path from 'node:path'
import { noLog, reasonOf } from '../../base/log.ts'
import { parseStoreUri, withoutPassword } from '../../base/store-uri.ts'
import { type Config, pathIn } from '../../config/config.ts'
import type { UserRecord } from '../../device/device.ts'
import { type DeviceStore, NoStoreYet } from '../../device/store.ts'
import { onlyRoots } from '../../process/only-root.ts'
import { openDeviceStore } from '../../service.ts'
import { foreignState, pendingDirectory, spoolDirectory } from '../../state.ts'
import { barrierTo } from './access.ts'
import { checkDevices } from './devices.ts'
import { type Finding, fail, namesOf, ok, ownIds, warn } from './finding.ts'
import { checkUserDb } from './userdb.ts'

/** What the process of the service's user is told: plain data, without the secrets for Apple. */
export interface StateQuestion {
  readonly config: Config
  /** The topics that the credentials are good for; undefined where there are no credentials. */
  readonly topics: readonly string[] | undefined
}

export async function* checkState(question: StateQuestion): AsyncGenerator<Finding> {
  const { config } = question
  const where = `store ${withoutPassword(config.store.uri)}`
  const directory = directoryOf(config)
  const spool = spoolDirectory(config)
  const barrier = directory && (barrierTo(directory) ?? closedTo(config, directory))
  if (barrier) yield fail(`${where}: ${barrier}`)
  else yield* lookInto(where, question)
  yield* checkDirectory(config, { directory: spool, name: `spool ${spool}`, mode: '700' })
  yield* checkPending(config)
  yield* await checkUserDb(config)
}

/** Without their directory pushes go on, and those of a killed process are lost: a warning. */
function* checkPending(config: Config): Generator<Finding> {
  const directory = pendingDirectory(config)
  const name = `pending pushes ${directory}`
  for (const { level, text } of checkDirectory(config, {
    directory,
    name,
    mode: '700',
    probe: PENDING_PROBE,
  }))
    yield level === 'FAIL' ? warn(`${text}; until then a process that is killed loses them`) : { level, text }
}

async function* lookInto(where: string, question: StateQuestion): AsyncGenerator<Finding> {
  const { config } = question
  try {
    const store = await openDeviceStore(config, noLog, { mustExist: true })
    yield* await checkStore(store, where, question).finally(() => store.close())
  } catch (error) {
    if (error instanceof NoStoreYet) yield* checkNoStoreYet(config, where)
    else yield fail(`${where}: ${reasonOf(error)}${remedyFor(config, directoryOf(config), error)}`)
  }
}

async function checkStore(store: DeviceStore, where: string, question: StateQuestion): Promise<Finding[]> {
  const { config } = question
  const found: Finding[] = [...(await checkDevices(store, where, config.users, question.topics))]
  found.push(...(await store.warnings()).map(warn))
  try {
    await writeAndRemove(store)
    const uri = withoutPassword(config.store.uri)
    found.push(written(`${uri}: ${namesOf(ownIds())} can write it`, directoryOf(config)))
  } catch (error) {
    found.push(
      fail(
        `${where}: it takes no registration: ${reasonOf(error)}${remedyFor(config, directoryOf(config), error)}`,
      ),
    )
  }
  return found
}

function directoryOf({ store, harakaDir }: Config): string | undefined {
  const place = parseStoreUri(store.uri)
  return place?.kind === 'lmdb' ? pathIn({ harakaDir }, place.directory) : undefined
}

/** No user can have this name: requests with a control character are refused. */
const PROBE_USER = 'xaps check\x7f'

/** A change as a registration makes it, under a name of its own; a record without devices is in no list. */
async function writeAndRemove(store: DeviceStore): Promise<void> {
  const mark = { account: 'check', token: randomUUID(), at: Date.now() }
  const others = ({ gone }: UserRecord) => gone.filter(({ token }) => token !== mark.token)
  await store.update(PROBE_USER, record => ({ ...record, gone: [...record.gone, mark] }))
  await store.update(PROBE_USER, record => ({ ...record, gone: others(record) }))
}

/** One in LMDB is made in its directory, or with it. */
function* checkNoStoreYet(config: Config, where: string): Generator<Finding> {
  yield ok(`${where}: none yet; it is made when the first phone registers`)
  const directory = directoryOf(config)
  if (directory !== undefined) yield* checkDirectory(config, { directory, name: where, mode: '770' })
}

interface Wanted {
  readonly directory: string
  /** For messages, and the mode of one that is to be made. */
  readonly name: string
  readonly mode: string
  /** The name of a file that may be left there. Default: one of LMDB's. */
  readonly probe?: string
}

/** Whether this user can write in a directory of the service's, or can make it. */
function* checkDirectory(config: Config, wanted: Wanted): Generator<Finding> {
  const { directory, name, probe } = wanted
  const me = namesOf(ownIds())
  const barrier = barrierTo(directory)
  if (barrier !== undefined) return yield fail(`${name}: ${barrier}`)
  const place = nearestThere(directory)
  if (place !== directory) return yield checkMaking(config, place, wanted)
  try {
    writeFileIn(directory, probe)
    yield written(`${name}: ${me} can write it`, directory)
  } catch (error) {
    const foreign = foreignIn(config, directory)
    yield fail(
      `${name}: ${foreign ?? `${me} cannot write it: ${reasonOf(error)}${remedyFor(config, directory, error)}`}`,
    )
  }
}

/** Whether this user, or root at the start of Haraka, can make a directory below `place`, which is there. */
function checkMaking(config: Config, place: string, { directory, name, mode }: Wanted): Finding {
  const me = ownIds()
  try {
    fs.rmdirSync(fs.mkdtempSync(path.join(place, '.xaps-check-')))
    return written(`${name}: none yet; ${namesOf(me)} can make it`, place)
  } catch (error) {
    if (isAccess(error) && config.registration.enabled && isOnlyRoots(place))
      return ok(`${name}: none yet; Haraka, started by root, makes it for ${namesOf(me)}`)
    const [user, group] = namesOf(me).split(':')
    const make = `install -d -o ${user} -g ${group} -m ${mode} ${directory}`
    return fail(
      `${name}: ${namesOf(me)} cannot make it: ${reasonOf(error)}; ${isAccess(error) ? make : `see df -h ${place}`}`,
    )
  }
}

const PROBE_BYTES = 4096

/** As a process calls its journal while it writes it anew; such a file is never read. */
const PENDING_PROBE = `${process.pid}-0.draft`

/** A file and its bytes on disk, under a name that is one of ours if this process is killed meanwhile. */
function writeFileIn(directory: string, name = `data.mdb.${randomUUID()}`): void {
  const file = path.join(directory, name)
  const fd = fs.openSync(file, 'wx', 0o600)
  try {
    const written = fs.writeSync(fd, Buffer.alloc(PROBE_BYTES))
    if (written < PROBE_BYTES) throw new Error('the disk is full')
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
    fs.rmSync(file, { force: true })
  }
}

/** A Redis that answers says itself what is wrong. */
const UNREACHED = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ETIMEDOUT|no answer/
const WHERE_IS_REDIS = '; does Redis run there, and is [store] uri right? (docs/redis.md)'

/**
 * What mends that a store or spool cannot be used, as the end of a line: of one in Redis (no `directory`) where to look, of a
 * directory whose it is, or that there is no room.
 */
function remedyFor(config: Config, directory: string | undefined, error: unknown): string {
  if (directory === undefined) return UNREACHED.test(reasonOf(error)) ? WHERE_IS_REDIS : ''
  const foreign = foreignIn(config, directory)
  if (foreign !== undefined) return `; ${foreign}`
  return fs.existsSync(directory) && freeBytes(directory) < LITTLE ? `; make room: df -h ${directory}` : ''
}

function foreignIn(config: Config, directory: string): string | undefined {
  return foreignState(config).find(line => line.endsWith(` ${directory}`))
}

/** A directory that is there and may not be looked into: whether there is a store in it cannot be seen. */
function closedTo(config: Config, directory: string): string | undefined {
  try {
    fs.readdirSync(directory)
    return undefined
  } catch (error) {
    return isAccess(error) ? (foreignIn(config, directory) ?? reasonOf(error)) : undefined
  }
}

const MB = 1_000_000
const LITTLE = 64 * MB

/** Something that could be written, and the room that is left in `directory`, where there is one. */
function written(text: string, directory: string | undefined): Finding {
  if (directory === undefined) return ok(text)
  const free = freeBytes(directory)
  const room = free < 1000 * MB ? `${(free / MB).toFixed(1)} MB` : `${(free / MB / 1000).toFixed(1)} GB`
  return free < LITTLE
    ? warn(`${text}; only ${room} free: make room: df -h ${directory}`)
    : ok(`${text}; ${room} free`)
}

function freeBytes(directory: string): number {
  const { bavail, bsize } = fs.statfsSync(directory)
  return bavail * bsize
}

function nearestThere(directory: string): string {
  return fs.existsSync(directory) ? directory : nearestThere(path.dirname(directory))
}

function isAccess(error: unknown): boolean {
  return ['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')
}

function isOnlyRoots(directory: string): boolean {
  try {
    return onlyRoots(directory) !== ''
  } catch {
    return false
  }
}
