/**
 * config/xaps.ini → Config. The only file that knows the names of its keys: `KEYS` is the whole contract, one line
 * per key with the kind of value and the default. In the code a key has the same name as in the file; times are
 * milliseconds whatever the file says them in.
 */

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { reasonOf } from '../base/log.ts'
import { parseIni } from './ini.ts'
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

type Key<T = unknown> = readonly [read: Reader<T>, standard: T]

const key = <T>(read: Reader<T>, standard: T): Key<T> => [read, standard]

const KEYS = {
  delivery: {
    source: key(oneOf('haraka', 'plugin'), 'haraka'),
    domains: key(someOf, ['host_list']),
  },
  users: {
    username: key(oneOf('address', 'local_part'), 'address'),
    recipient_delimiter: key(text, '+'),
    lowercase: key(flag, true),
    dovecot_userdb: key(text, ''),
  },
  apns: {
    certificate: key(text, ''),
    key: key(text, ''),
    pkcs12: key(text, ''),
    passphrase: key(text, ''),
    token_key: key(text, ''),
    key_id: key(text, ''),
    team_id: key(text, ''),
    topic: key(text, ''),
    environment: key(oneOf('production', 'sandbox'), 'production'),
    host: key(text, ''),
    port: key(integer(1, 65535), 443),
    ca: key(text, ''),
    priority: key(oneOf('5', '10', 'none'), '5'),
    expiration: key(seconds(0, 2_592_000), 86_400_000),
    collapse_id: key(flag, false),
    max_in_flight: key(integer(1, 1000), 500),
    request_timeout: key(seconds(1, 120), 10_000),
  },
  push: {
    window: key(seconds(0, 3600), 5_000),
    change_delay: key(seconds(0, 3600), 30_000),
    keep_for: key(seconds(1, 2_592_000), 86_400_000),
  },
  store: {
    uri: key(storeUri, 'lmdb:xaps'),
    namespace: key(word, 'xaps'),
    expire_days: key(days(1, 3650), 30 * 86_400_000),
    max_devices: key(integer(1, 1000), 50),
  },
  registration: {
    enabled: key(flag, true),
    socket: key(text, '/var/run/dovecot/xapsd.sock'),
    socket_mode: key(mode, 0o660),
    socket_user: key(userName, ''),
    socket_group: key(groupName, ''),
    listen: key(addresses, []),
    subtopics: key(someOf, ['com.apple.mobilemail']),
    notify: key(oneOf('changes', 'all', 'off'), 'changes'),
    pad_topic: key(flag, true),
  },
} as const

type Values = {
  readonly [S in keyof typeof KEYS]: {
    readonly [K in keyof (typeof KEYS)[S]]: (typeof KEYS)[S][K] extends Key<infer T> ? T : never
  }
}

/** All settings, and the Haraka directory that relative paths start from. */
export type Config = Values & { readonly harakaDir: string }

/** What is pushed, and on whose word. */
export interface PushSources {
  /** Who tells of new mail: Haraka's hooks, or Dovecot's XAPS plugin (MessageNew). Exactly one, or mails are pushed twice. */
  readonly newMail: 'haraka' | 'plugin'
  /** Whether what else Dovecot's plugin notifies of is pushed. */
  readonly changes: boolean
}

/** `notify = all` is the older way to say `source = plugin`. */
export function pushSources({ delivery, registration }: Config): PushSources {
  return {
    newMail: registration.notify === 'all' ? 'plugin' : delivery.source,
    changes: registration.notify !== 'off',
  }
}

/** What to say about settings that still work and are said otherwise today, one line each. */
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
  return parseConfig(readIfThere(file), path.resolve(harakaDir), file)
}

/** The same from the text of the file; `file` is for error messages. Throws ConfigError. */
export function parseConfig(content: string, harakaDir: string, file = 'config/xaps.ini'): Config {
  const values: Record<string, Record<string, unknown>> = {}
  for (const [section, keys] of Object.entries(KEYS)) {
    values[section] = Object.fromEntries(Object.entries(keys).map(([name, [, standard]]) => [name, standard]))
  }
  for (const entry of entriesOf(content, file)) {
    const keys = keysOf(entry.section)
    const found = keys && Object.hasOwn(keys, entry.key) ? keys[entry.key] : undefined
    if (!found) throw unknownKey(file, entry, keys)
    const target = values[entry.section] as Record<string, unknown>
    target[entry.key] = read(found, entry, file)
  }
  return Object.freeze({ ...(values as unknown as Values), harakaDir })
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw new ConfigError(`${file}: cannot be read: ${reasonOf(error)}`)
  }
}

function entriesOf(content: string, file: string): ReturnType<typeof parseIni> {
  try {
    return parseIni(content)
  } catch (error) {
    throw new ConfigError(`${file}: ${reasonOf(error)}`)
  }
}

function keysOf(section: string): Readonly<Record<string, Key>> | undefined {
  return Object.hasOwn(KEYS, section) ? KEYS[section as keyof typeof KEYS] : undefined
}

function unknownKey(
  file: string,
  entry: { section: string; key: string; value: string; line: number },
  keys: Readonly<Record<string, Key>> | undefined,
): ConfigError {
  const known = keys
    ? `one of the keys ${Object.keys(keys).join(', ')}`
    : `one of the sections ${Object.keys(KEYS).join(', ')}`
  return new ConfigError(
    `${file}: [${entry.section}] ${entry.key} = ${shown(entry)} (line ${entry.line}): unknown, expected ${known}`,
  )
}

function read(
  [reader]: Key,
  entry: { section: string; key: string; value: string; line: number },
  file: string,
) {
  try {
    return reader(entry.value)
  } catch (error) {
    throw new ConfigError(
      `${file}: [${entry.section}] ${entry.key} = ${shown(entry)} (line ${entry.line}): expected ${reasonOf(error)}`,
    )
  }
}

/** A value as it may be shown: a passphrase never is, nor the password inside a store's URI. */
function shown(entry: { key: string; value: string }): string {
  if (entry.key === 'passphrase') return '***'
  return entry.value.replace(/(:\/\/[^:@/]*:)[^@]*@/, '$1***@')
}

/** `name` as a path: absolute as it is, otherwise below the Haraka directory; empty stays empty. */
export function pathIn(config: Pick<Config, 'harakaDir'>, name: string): string {
  return name === '' ? '' : path.resolve(config.harakaDir, name)
}
