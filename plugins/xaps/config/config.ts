/**
 * config/xaps.ini → Config. The only file that knows the names of its keys: `KEYS` is the whole contract, one line per
 * key with its name in the code, its name in the file, the kind of value and the default. In the code a name is written in
 * camel case, and a duration is in milliseconds and ends in `Ms`, whatever the unit in the file.
 */

import path from 'node:path'
import { reasonOf } from '../base/log.ts'
import { withoutPassword } from '../base/store-uri.ts'
import { type Entry, parseIni, readIfThere } from './ini.ts'
import {
  addresses,
  days,
  flag,
  groupName,
  integer,
  mode,
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
}

const key = <T>(inFile: string, read: Reader<T>, standard: T): Key<T> => ({ inFile, read, standard })

const KEYS = {
  delivery: {
    source: key('source', oneOf('haraka', 'plugin'), 'haraka'),
    domains: key('domains', someOf, ['host_list']),
  },
  users: {
    username: key('username', oneOf('address', 'local_part'), 'address'),
    recipientDelimiter: key('recipient_delimiter', text, '+'),
    lowercase: key('lowercase', flag, true),
    dovecotUserdb: key('dovecot_userdb', text, ''),
  },
  apns: {
    certificate: key('certificate', text, ''),
    key: key('key', text, ''),
    pkcs12: key('pkcs12', text, ''),
    passphrase: key('passphrase', text, ''),
    tokenKey: key('token_key', text, ''),
    keyId: key('key_id', text, ''),
    teamId: key('team_id', text, ''),
    topic: key('topic', text, ''),
    environment: key('environment', oneOf('production', 'sandbox'), 'production'),
    host: key('host', text, ''),
    port: key('port', integer(1, 65535), 443),
    ca: key('ca', text, ''),
    priority: key('priority', oneOf('5', '10', 'none'), '5'),
    expirationMs: key('expiration', seconds(0, 2_592_000), 86_400_000),
    collapseId: key('collapse_id', flag, false),
    maxInFlight: key('max_in_flight', integer(1, 1000), 500),
    requestTimeoutMs: key('request_timeout', seconds(1, 120), 10_000),
  },
  push: {
    windowMs: key('window', seconds(0, 3600), 5_000),
    changeDelayMs: key('change_delay', seconds(0, 3600), 30_000),
    keepForMs: key('keep_for', seconds(1, 2_592_000), 86_400_000),
  },
  store: {
    uri: key('uri', storeUri, 'lmdb:xaps'),
    ca: key('ca', text, ''),
    certificate: key('certificate', text, ''),
    key: key('key', text, ''),
    namespace: key('namespace', word, 'xaps'),
    expireAfterMs: key('expire_days', days(1, 3650), 30 * 86_400_000),
    maxDevices: key('max_devices', integer(1, 1000), 50),
  },
  registration: {
    enabled: key('enabled', flag, true),
    socket: key('socket', text, '/var/run/dovecot/xapsd.sock'),
    socketMode: key('socket_mode', mode, 0o660),
    socketUser: key('socket_user', userName, ''),
    socketGroup: key('socket_group', groupName, ''),
    listen: key('listen', addresses, []),
    subtopics: key('subtopics', someOf, ['com.apple.mobilemail']),
    notify: key('notify', oneOf('changes', 'all', 'off'), 'changes'),
    padTopic: key('pad_topic', flag, true),
  },
} as const

type Values = {
  readonly [S in keyof typeof KEYS]: {
    readonly [K in keyof (typeof KEYS)[S]]: (typeof KEYS)[S][K] extends Key<infer T> ? T : never
  }
}

/** All settings, and the Haraka directory that relative paths start from. */
export type Config = Values & { readonly harakaDir: string }

/** Which events are pushed, and from which source. */
export interface PushSources {
  /** The source of new mail: Haraka's hooks, or Dovecot's XAPS plugin (MessageNew). Exactly one, or mails are pushed twice. */
  readonly newMail: 'haraka' | 'plugin'
  /** Whether the other notifications of Dovecot's plugin are pushed. */
  readonly changes: boolean
}

/** `notify = all` is the older way to say `source = plugin`. */
export function pushSources({ delivery, registration }: Config): PushSources {
  return {
    newMail: registration.notify === 'all' ? 'plugin' : delivery.source,
    changes: registration.notify !== 'off',
  }
}

/** A line for each setting that still works and has another form today. */
export function olderSettings({ registration }: Config): readonly string[] {
  if (registration.notify !== 'all') return []
  return [
    "[registration] notify = all means [delivery] source = plugin: Dovecot's plugin tells of new mail, the hooks push nothing",
  ]
}

/** A setting that cannot be used. `message` is one line: file, section, key, value and what was expected. */
export class ConfigError extends Error {
  override name = 'ConfigError'
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
  const values = standardValues()
  for (const entry of attempt(`${file}: `, () => parseIni(content))) {
    const [name, found] = findKey(entry, file)
    const section = values[entry.section] as Record<string, unknown>
    section[name] = attempt(`${file}: ${described(entry)}: expected `, () => found.read(entry.value))
  }
  return Object.freeze({ ...(values as unknown as Values), harakaDir })
}

function standardValues(): Record<string, Record<string, unknown>> {
  const standards = (keys: Readonly<Record<string, Key>>) =>
    Object.fromEntries(Object.entries(keys).map(([name, { standard }]) => [name, standard]))
  return Object.fromEntries(Object.entries(KEYS).map(([section, keys]) => [section, standards(keys)]))
}

/** The key that an entry of the file sets, with its name in the code. */
function findKey(entry: Entry, file: string): readonly [name: string, key: Key] {
  const unknown = (known: string) =>
    new ConfigError(`${file}: ${described(entry)}: unknown, expected one of the ${known}`)
  const keys = Object.entries(KEYS).find(([section]) => section === entry.section)?.[1]
  if (!keys) throw unknown(`sections ${Object.keys(KEYS).join(', ')}`)
  const all: [string, Key][] = Object.entries(keys)
  const found = all.find(([, { inFile }]) => inFile === entry.key)
  if (!found) throw unknown(`keys ${all.map(([, { inFile }]) => inFile).join(', ')}`)
  return found
}

/** Returns the result of `work`; its error becomes a ConfigError whose message begins with `where`. */
function attempt<T>(where: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw new ConfigError(`${where}${reasonOf(error)}`)
  }
}

/** An entry as it may be shown: a passphrase never is, nor the password inside a store's URI. */
function described({ section, key, value, line }: Entry): string {
  const shown = key === 'passphrase' ? '***' : withoutPassword(value)
  return `[${section}] ${key} = ${shown} (line ${line})`
}

/** The name in xaps.ini of a setting, for messages. */
export function keyInFile<S extends keyof typeof KEYS>(
  section: S,
  name: keyof (typeof KEYS)[S] & string,
): string {
  return (KEYS[section] as Readonly<Record<string, Key>>)[name]?.inFile ?? name
}

/** `name` as a path: absolute as it is, otherwise below the Haraka directory; empty stays empty. */
export function pathIn(config: Pick<Config, 'harakaDir'>, name: string): string {
  return name === '' ? '' : path.resolve(config.harakaDir, name)
}
