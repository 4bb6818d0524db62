import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import {
  keyInFile,
  loadConfig,
  missingEventsListener,
  parseConfig,
  pathIn,
  pushSources,
  settingNotes,
} from '../../plugins/xaps/config/config.ts'
import { ConfigError } from '../../plugins/xaps/config/ini.ts'

const DIR = '/etc/haraka'
const parse = (text: string) => parseConfig(text, DIR, 'config/xaps.ini')

/** config/xaps.ini as it ships; the tests run from the package's root. */
const SHIPPED = readFileSync(path.resolve('config', 'xaps.ini'), 'utf8')

test('a file that is not there means all defaults', () => {
  assert.deepEqual(loadConfig('/nowhere/at/all'), { ...parse(''), harakaDir: '/nowhere/at/all' })
})

test('the shipped file changes nothing', () => {
  assert.deepEqual(parse(SHIPPED), parse(''))
})

test('the shipped file has every key, commented, at its default', () => {
  const uncommented = SHIPPED.replace(/^;(?=\w+ =)/gm, '')
  assert.deepEqual(parse(uncommented), parse(''))
  const shown = [...SHIPPED.matchAll(/^\[(\w+)\]|^;(\w+) =/gm)].map(([, section, key]) => section ?? key)
  const { harakaDir: _, ...sections } = parse('')
  const all = Object.entries(sections).flatMap(([section, keys]) => [
    section,
    ...Object.keys(keys).map(name => keyInFile(section as 'users', name as 'username')),
  ])
  assert.deepEqual(shown.toSorted(), all.toSorted())
})

const READ: readonly (readonly [setting: string, value: unknown])[] = [
  ['[push] window = 2.5', 2500],
  ['[apns] request_timeout = 3 s', 3000],
  ['[store] expire_days = 7', 7 * 86_400_000],
  ['[delivery] domains = a.example, b.example', ['a.example', 'b.example']],
  ['[users] lowercase = no', false],
  ['[registration] socket_mode = 660', 0o660],
  ['[registration] listen = [::1]:11619', ['[::1]:11619']],
  ['[registration] status_from = 10.0.0.0/8, ::1', ['10.0.0.0/8', '::1']],
  ['[registration] status_from =', []],
]

/** `[section] key = value` as the two lines that it has in the file, and as the name and value of its setting. */
const inFile = (setting: string) => setting.replace('] ', ']\n')

for (const [setting, value] of READ) {
  test(`${setting} is read into the unit of the code`, () => {
    const [, section = '', key = ''] = /^\[(\w+)\] (\w+)/.exec(setting) ?? []
    const settings = Object.entries({ ...parse(inFile(setting)) }[section] ?? {})
    const found = settings.find(([name]) => keyInFile(section as 'users', name as 'username') === key)
    assert.deepEqual(found?.[1], value)
  })
}

/** What is said to have been expected begins so. */
const MISTAKES: readonly (readonly [setting: string, expected: string])[] = [
  ['[push] windows = 5', 'unknown, expected one of the keys window, '],
  ['[pusher] window = 5', 'unknown, expected one of the sections delivery, '],
  ['[push] __proto__ = 5', 'unknown, expected one of the keys window, '],
  ['[__proto__] window = 5', 'unknown, expected one of the sections delivery, '],
  ['[apns] port = 443x', 'expected a whole number from 1 to 65535'],
  ['[apns] max_in_flight = 0', 'expected a whole number from 1 to 1000'],
  ['[push] window = -1', 'expected seconds, from 0 to 3600'],
  ['[apns] environment = prod', 'expected one of production, sandbox'],
  ['[users] lowercase = maybe', 'expected true or false'],
  ['[store] uri = mysql://host', 'expected lmdb:DIRECTORY, redis://HOST:PORT'],
  ['[store] namespace = ', 'expected one word'],
  ...['::1', '127.0.0.1:11619, [::1]:99999', '[::1]:0'].map(
    address =>
      [
        `[registration] listen = ${address}`,
        'expected addresses with a port from 1 to 65535 such as [::1]:11619',
      ] as const,
  ),
  [
    '[registration] status_from = localhost',
    'expected addresses and networks such as 192.0.2.7 and 10.0.0.0/8',
  ],
  ['[registration] socket_user = no-one', 'expected a user of this system: no-one: no such user'],
  ['[registration] socket_group = no-one', 'expected a group of this system: no-one: no such group'],
  ['[registration] subtopics = ,', 'expected a comma-separated list of at least one'],
  ['[registration] socket_mode = rw', 'expected an octal file mode'],
]

for (const [setting, expected] of MISTAKES) {
  test(`${setting} gives one line that says where and what was expected`, () => {
    assert.throws(
      () => parse(inFile(setting)),
      error =>
        error instanceof ConfigError &&
        error.message.startsWith(`config/xaps.ini: ${setting} (line 2): ${expected}`) &&
        !error.message.includes('\n'),
    )
  })
}

test('a key outside any section is unknown', () => {
  assert.throws(() => parse('window = 5'), /\[main\] window = 5 \(line 1\): unknown/)
})

test('an error never shows a passphrase or the password of a store', () => {
  for (const [text, shown] of [
    ['[store]\npassphrase = secret', 'passphrase = ***'],
    ['[store]\nurl = redis://user:secret@host', 'redis://user:***@host'],
    ['[store]\nuri = redis://:a/secret@host', 'redis://:***@host'],
  ] as const)
    assert.throws(
      () => parse(text),
      error =>
        error instanceof ConfigError && error.message.includes(shown) && !error.message.includes('secret'),
    )
})

test('relative paths start at the Haraka directory, absolute and empty ones stay', () => {
  const config = { harakaDir: DIR }
  assert.deepEqual(
    [pathIn(config, 'a/b'), pathIn(config, '/a/b'), pathIn(config, '')],
    ['/etc/haraka/a/b', '/a/b', ''],
  )
})

/** [delivery] and [registration] → the one source of new mail, what is noted, whether the events have no way in. */
const SOURCES: readonly [
  delivery: string,
  registration: string,
  source: string,
  note: RegExp | undefined,
  missing: boolean,
][] = [
  ['', '', 'haraka', undefined, false],
  ['', 'notify = all', 'plugin', /notify = all means .*source = plugin/, false],
  ['source = plugin', '', 'plugin', undefined, false],
  ['source = events', '', 'events', undefined, true],
  ['source = events', 'listen = 127.0.0.1:11619', 'events', undefined, false],
  ['source = events\nevents_socket = /run/e', '', 'events', undefined, false],
  [
    'source = events\nevents_socket = /run/e',
    'notify = all',
    'events',
    /notify = all counts as changes/,
    false,
  ],
  ['events_socket = /run/e', '', 'haraka', /events_socket is set, but .*source = haraka/, false],
  ['events_socket = /run/e', 'notify = all', 'plugin', /notify = all means/, false],
]

for (const [delivery, registration, source, note, missing] of SOURCES) {
  test(`one source of new mail: "${delivery}" and "${registration}" is ${source}`, () => {
    const config = parse(`[delivery]\n${delivery}\n[registration]\n${registration}`)
    assert.equal(pushSources(config).newMail, source)
    const notes = settingNotes(config).join('\n')
    if (note) assert.match(notes, note)
    else assert.equal(notes, '')
    const said = missingEventsListener(config)
    if (missing) assert.match(said ?? '', /set \[registration\] listen .*or \[delivery\] events_socket/)
    else assert.equal(said, undefined)
  })
}
