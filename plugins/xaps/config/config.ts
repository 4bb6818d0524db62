/**
 * config/xaps.ini → Config. The only file that knows the names of its keys: `KEYS` is the whole contract, one line per
 * key with its name in the code, its name in the file, the kind of value and the default. In the code a name is written in
 * camel case, and a duration is in milliseconds and ends in `Ms`, whatever the unit in the file. Whether a running process
 * takes up a change of a key is said there too: changes.ts does it.
 */

import path from 'node:path'
import { withoutPassword } from '../base/store-uri.ts'
import { attempt, ConfigError, type Entry, parseIni, readIfThere } from './ini.ts'
import {
  addresses,
  days,
  flag,
  groupName,
  integer,
  mode,
  networks,
  oneOf,
  type Reader,
  seconds,
  someOf,
  storeUri,
  text,
  userName,
  word,
} from './values.ts'

interface Key<T = unknown> {
  readonly inFile: string
  readonly read: Reader<T>
  readonly standard: T
  /** Whether a running process takes up another value; otherwise a restart does. */
  readonly isLive: boolean
}

const live = <T>(inFile: string, read: Reader<T>, standard: T): Key<T> => ({
  inFile,
  read,
  standard,
  isLive: true,
})

/** A key that needs a restart. */
const key = <T>(inFile: string, read: Reader<T>, standard: T): Key<T> => ({
  ...live(inFile, read, standard),
  isLive: false,
})

const KEYS = {
  delivery: {
    source: live('source', oneOf('haraka', 'plugin', 'events'), 'haraka'),
    eventsSocket: key('events_socket', text, ''),
    domains: live('domains', someOf, ['host_list']),
  },
  users: {
    username: live('username', oneOf('address', 'local_part'), 'address'),
    recipientDelimiter: live('recipient_delimiter', text, '+'),
    lowercase: live('lowercase', flag, true),
    dovecotUserdb: key('dovecot_userdb', text, ''),
  },
  apns: {
    certificate: live('certificate', text, ''),
    key: live('key', text, ''),
    pkcs12: live('pkcs12', text, ''),
    passphrase: live('passphrase', text, ''),
    tokenKey: live('token_key', text, ''),
    keyId: live('key_id', text, ''),
    teamId: live('team_id', text, ''),
    topic: live('topic', text, ''),
    environment: live('environment', oneOf('production', 'sandbox'), 'production'),
    host: live('host', text, ''),
    port: live('port', integer(1, 65535), 443),
    ca: live('ca', text, ''),
    priority: live('priority', oneOf('5', '10', 'none'), '5'),
    expirationMs: live('expiration', seconds(0, 2_592_000), 86_400_000),
    collapseId: live('collapse_id', flag, false),
    maxInFlight: live('max_in_flight', integer(1, 1000), 1000),
    requestTimeoutMs: live('request_timeout', seconds(1, 120), 10_000),
  },
  push: {
    windowMs: live('window', seconds(0, 3600), 5_000),
    changeDelayMs: live('change_delay', seconds(0, 3600), 30_000),
    keepForMs: live('keep_for', seconds(1, 2_592_000), 86_400_000),
  },
  store: {
    uri: key('uri', storeUri, 'lmdb:xaps'),
    ca: key('ca', text, ''),
    certificate: key('certificate', text, ''),
    key: key('key', text, ''),
    namespace: key('namespace', word, 'xaps'),
    expireAfterMs: live('expire_days', days(1, 3650), 30 * 86_400_000),
    maxDevices: live('max_devices', integer(1, 1000), 50),
  },
  registration: {
    enabled: key('enabled', flag, true),
    socket: key('socket', text, '/var/run/dovecot/xapsd.sock'),
    socketMode: key('socket_mode', mode, 0o660),
    socketUser: key('socket_user', userName, ''),
    socketGroup: key('socket_group', groupName, ''),
    listen: key('listen', addresses, []),
    statusFrom: live('status_from', networks, ['127.0.0.0/8', '::1']),
    subtopics: live('subtopics', someOf, ['com.apple.mobilemail']),
    notify: live('notify', oneOf('changes', 'all', 'off'), 'changes'),
    padTopic: live('pad_topic', flag, true),
  },
} as const

/** Each key with its section and its name in the code. */
export const ALL = Object.entries(KEYS).flatMap(([section, keys]) =>
  Object.entries<Key>(keys).map(([name, key]) => ({ section, name, ...key })),
)

type Values = {
  readonly [S in keyof typeof KEYS]: {
    readonly [K in keyof (typeof KEYS)[S]]: (typeof KEYS)[S][K] extends Key<infer T> ? T : never
  }
}

/** All settings, and the Haraka directory that relative paths start from. */
export type Config = Values & { readonly harakaDir: string }

/** Which events are pushed, and from which source. */
export interface PushSources {
  /**
   * The source of new mail: Haraka's hooks, Dovecot's XAPS plugin (MessageNew), or Dovecot's event exporter. Exactly one, or
   * mails are pushed twice.
   */
  readonly newMail: Config['delivery']['source']
  /** Whether the other notifications of Dovecot's plugin are pushed. */
  readonly changes: boolean
}

/** `notify = all` is the older way to say `source = plugin`; beside `source = events`, which is newer, it means `changes`. */
export function pushSources({ delivery, registration }: Config): PushSources {
  const older = registration.notify === 'all' && delivery.source !== 'events'
  return { newMail: older ? 'plugin' : delivery.source, changes: registration.notify !== 'off' }
}

/** A line for each setting that does something else than it says: it has another form today, or is of no use. */
export function settingNotes(config: Config): readonly string[] {
  const { newMail } = pushSources(config)
  const notes: string[] = []
  if (config.registration.notify === 'all' && newMail === 'events')
    notes.push('[registration] notify = all counts as changes, because of [delivery] source = events')
  else if (config.registration.notify === 'all')
    notes.push(
      "[registration] notify = all means [delivery] source = plugin: Dovecot's plugin tells of new mail, the hooks push nothing",
    )
  if (config.delivery.eventsSocket !== '' && newMail !== 'events')
    notes.push(
      `[delivery] events_socket is set, but new mail is told by source = ${newMail}: the events push nothing`,
    )
  return notes
}

/** A sentence when no new mail can be pushed: no way in for the events that are its source. */
export function missingEventsListener({ delivery, registration }: Config): string | undefined {
  if (delivery.source !== 'events' || delivery.eventsSocket !== '' || registration.listen.length > 0)
    return undefined
  return "[delivery] source = events: no new mail is pushed, since Dovecot's event exporter cannot reach the companion: set [registration] listen (Dovecot 2.3 and 2.4) or [delivery] events_socket (Dovecot 2.4)"
}

/** The path of xaps.ini below a Haraka directory. */
export function configFile(harakaDir: string): string {
  return path.join(harakaDir, 'config', 'xaps.ini')
}

/** Reads `harakaDir`/config/xaps.ini; a file that is not there means all defaults. Throws ConfigError. */
export function loadConfig(harakaDir: string): Config {
  const file = configFile(harakaDir)
  return parseConfig(
    attempt(`${file}: cannot be read: `, () => readIfThere(file)),
    path.resolve(harakaDir),
    file,
  )
}

/** The same from the text of the file; `file` is for error messages. Throws ConfigError. */
export function parseConfig(content: string, harakaDir: string, file = 'config/xaps.ini'): Config {
  const values: Record<string, Record<string, unknown>> = {}
  for (const { section, name, standard } of ALL) values[section] = { ...values[section], [name]: standard }
  for (const entry of attempt(`${file}: `, () => parseIni(content))) {
    const { section, name, read } = findKey(entry, file)
    const value = attempt(`${file}: ${described(entry)}: expected `, () => read(entry.value))
    values[section] = { ...values[section], [name]: value }
  }
  return Object.freeze({ ...(values as unknown as Values), harakaDir })
}

/** The key that an entry of the file sets. */
function findKey(entry: Entry, file: string): (typeof ALL)[number] {
  const unknown = (known: string) =>
    new ConfigError(`${file}: ${described(entry)}: unknown, expected one of the ${known}`)
  const keys = ALL.filter(({ section }) => section === entry.section)
  if (keys.length === 0) throw unknown(`sections ${Object.keys(KEYS).join(', ')}`)
  const found = keys.find(({ inFile }) => inFile === entry.key)
  if (!found) throw unknown(`keys ${keys.map(({ inFile }) => inFile).join(', ')}`)
  return found
}

/** A value as it may be shown: a passphrase never is, nor the password inside a store's URI. */
export function withoutSecret(keyInFile: string, value: string): string {
  return keyInFile === 'passphrase' && value !== '' ? '***' : withoutPassword(value)
}

function described({ section, key, value, line }: Entry): string {
  return `[${section}] ${key} = ${withoutSecret(key, value)} (line ${line})`
}

/** The name in xaps.ini of a setting, for messages. */
export function keyInFile<S extends keyof typeof KEYS>(
  section: S,
  name: keyof (typeof KEYS)[S] & string,
): string {
  return ALL.find(key => key.section === section && key.name === name)?.inFile ?? name
}

/** `name` as a path: absolute as it is, otherwise below the Haraka directory; empty stays empty. */
export function pathIn(config: Pick<Config, 'harakaDir'>, name: string): string {
  return name === '' ? '' : path.resolve(config.harakaDir, name)
}
