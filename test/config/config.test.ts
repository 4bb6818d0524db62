import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import {
  ConfigError,
  keyInFile,
  loadConfig,
  missingEventsListener,
  parseConfig,
  pathIn,
  pushSources,
  settingNotes,
} from '../../plugins/xaps/config/config.ts'

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

test('times in the file are seconds and days, in the code milliseconds', () => {
  const { push, store, apns } = parse(
    '[push]\nwindow = 2.5\n[store]\nexpire_days = 7\n[apns]\nrequest_timeout = 3 s',
  )
  assert.equal(push.windowMs, 2500)
  assert.equal(store.expireAfterMs, 7 * 86_400_000)
  assert.equal(apns.requestTimeoutMs, 3000)
})

test('lists, flags and modes are read', () => {
  const { delivery, users, registration } = parse(
    '[delivery]\ndomains = a.example, b.example\n[users]\nlowercase = no\n[registration]\nsocket_mode = 660\nlisten = [::1]:11619',
  )
  assert.deepEqual(delivery.domains, ['a.example', 'b.example'])
  assert.equal(users.lowercase, false)
  assert.equal(registration.socketMode, 0o660)
  assert.deepEqual(registration.listen, ['[::1]:11619'])
})

const MISTAKES: readonly (readonly [name: string, text: string, message: RegExp])[] = [
  [
    'a key that does not exist',
    '[push]\nwindows = 5',
    /^config\/xaps\.ini: \[push\] windows = 5 \(line 2\): unknown, expected one of the keys window, /,
  ],
  [
    'a section that does not exist',
    '[pusher]\nwindow = 5',
    /\[pusher\] window = 5 .*expected one of the sections delivery, /,
  ],
  ['a key outside any section', 'window = 5', /\[main\] window = 5 .*unknown/],
  ['__proto__ as a key', '[push]\n__proto__ = 5', /\[push\] __proto__ = 5 .*unknown/],
  ['__proto__ as a section', '[__proto__]\nwindow = 5', /\[__proto__\] window = 5 .*unknown/],
  [
    'a number with a unit',
    '[apns]\nport = 443x',
    /\[apns\] port = 443x .*expected a whole number from 1 to 65535/,
  ],
  ['a number out of range', '[apns]\nmax_in_flight = 0', /expected a whole number from 1 to 1000/],
  ['a negative time', '[push]\nwindow = -1', /\[push\] window = -1 .*expected seconds, from 0 to 3600/],
  [
    'a choice that is none',
    '[apns]\nenvironment = prod',
    /environment = prod .*expected one of production, sandbox/,
  ],
  ['a flag that is none', '[users]\nlowercase = maybe', /lowercase = maybe .*expected true or false/],
  [
    'a store of no known kind',
    '[store]\nuri = mysql://host',
    /uri = mysql:\/\/host .*expected lmdb:DIRECTORY, redis:\/\/HOST:PORT/,
  ],
  ['a namespace of no characters', '[store]\nnamespace =', /namespace = {2}.*expected one word/],
  [
    'an address without a port',
    '[registration]\nlisten = ::1',
    /listen = ::1 .*expected addresses with a port from 1 to 65535 such as \[::1\]:11619/,
  ],
  [
    'a port that there is not',
    '[registration]\nlisten = 127.0.0.1:11619, [::1]:99999',
    /listen = 127.0.0.1:11619, \[::1\]:99999 .*expected addresses with a port from 1 to 65535/,
  ],
  [
    'the port that any port is',
    '[registration]\nlisten = [::1]:0',
    /listen = \[::1\]:0 .*expected addresses with a port from 1 to 65535/,
  ],
  [
    'a user that this system does not have',
    '[registration]\nsocket_user = no-such-user',
    /socket_user = no-such-user \(line 2\): expected a user of this system: no-such-user: no such user/,
  ],
  [
    'a group that this system does not have',
    '[registration]\nsocket_group = no-such-group',
    /\[registration\] socket_group = no-such-group .*expected a group of this system/,
  ],
  ['no subtopic', '[registration]\nsubtopics = ,', /expected a comma-separated list of at least one/],
  [
    'a mode that is none',
    '[registration]\nsocket_mode = rw',
    /socket_mode = rw .*expected an octal file mode/,
  ],
]

for (const [name, text, message] of MISTAKES) {
  test(`${name} gives one line that says where and what was expected`, () => {
    assert.throws(
      () => parse(text),
      error => error instanceof ConfigError && message.test(error.message) && !error.message.includes('\n'),
    )
  })
}

test('an error never shows a passphrase or the password of a store', () => {
  assert.throws(
    () => parse('[apns]\n[store]\npassphrase = geheim'),
    error => !String(error).includes('geheim'),
  )
  assert.throws(
    () => parse('[store]\nurl = redis://user:geheim@host'),
    error => error instanceof ConfigError && /redis:\/\/user:\*\*\*@host/.test(error.message),
  )
  assert.throws(
    () => parse('[store]\nuri = redis://:a/geheim@host'),
    error => error instanceof ConfigError && /redis:\/\/:\*\*\*@host/.test(error.message),
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
