import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { changesIn, digestOf, joined, takeUp } from '../../plugins/xaps/config/changes.ts'
import { ALL, parseConfig } from '../../plugins/xaps/config/config.ts'

const parse = (text: string) => parseConfig(text, '/etc/haraka')

/** What changes in the defaults, as the file has it → what is told, and whether a running process takes it up. */
const CASES: readonly (readonly [ini: string, told: string, isLive: boolean])[] = [
  ['[push]\nwindow = 60', '[push] window: 5 -> 60', true],
  ['[store]\nexpire_days = 7', '[store] expire_days: 30 -> 7', true],
  ['[delivery]\ndomains = a.example, *', '[delivery] domains: host_list -> a.example, *', true],
  ['[users]\nlowercase = off', '[users] lowercase: true -> false', true],
  ['[users]\nrecipient_delimiter =', '[users] recipient_delimiter: + -> empty', true],
  ['[apns]\npassphrase = geheim', '[apns] passphrase: empty -> ***', true],
  ['[store]\nuri = redis://u:geheim@h:1', '[store] uri: lmdb:xaps -> redis://', false],
  [
    '[store]\nuri = rediss+sentinel://u:geheim@h:1,h:2/mx?sentinel_password=geheim',
    '[store] uri: lmdb:xaps -> rediss+sentinel://',
    false,
  ],
  [
    '[store]\nuri = redis-sentinel://geheim@h:1?sentinelMasterId=mx',
    '[store] uri: lmdb:xaps -> redis-s',
    false,
  ],
  ['[store]\nuri = redis+cluster://u:geheim@h:1,h:2', '[store] uri: lmdb:xaps -> redis+cluster://', false],
  ['[store]\nca = ca.pem', '[store] ca: empty -> ca.pem', false],
  ['[registration]\nsocket_mode = 0666', '[registration] socket_mode: 0660 -> 0666', false],
  ['[registration]\nlisten = 127.0.0.1:1', '[registration] listen: empty -> 127.0.0.1:1', false],
]

for (const [ini, told, isLive] of CASES) {
  test(`${ini.replace('\n', ' ')} ${isLive ? 'is taken up' : 'needs a restart'}, and no secret is told`, () => {
    const config = parse('')
    const next = parse(ini)
    const { live, afterRestart } = changesIn(config, next)
    const [line = '', ...more] = [...live, ...afterRestart]
    assert.ok(line.startsWith(told), line)
    assert.doesNotMatch(line, /geheim/)
    assert.deepEqual([live.length, afterRestart.length, more.length], isLive ? [1, 0, 0] : [0, 1, 0])
    takeUp(config, next)
    assert.deepEqual(changesIn(config, next), { live: [], afterRestart })
  })
}

test('a section, and what is joined from sections, has the value of a moment ago no more', () => {
  const config = parse('')
  const { push } = config
  const both = joined(config.apns, config.push)
  takeUp(config, parse('[push]\nwindow = 1\n[apns]\nmax_in_flight = 7'))
  assert.deepEqual([push.windowMs, both.windowMs, both.maxInFlight], [1_000, 1_000, 7])
})

test('the word for a configuration changes with each key, and tells nothing of a secret', () => {
  const digests = CASES.filter(([ini]) => !/geheim/.test(ini)).map(([ini]) => digestOf(parse(ini)))
  assert.equal(new Set([...digests, digestOf(parse(''))]).size, digests.length + 1)
  assert.equal(digestOf(parse('[apns]\npassphrase = a')), digestOf(parse('[apns]\npassphrase = b')))
})

test('docs/configuration.md marks the keys that need a restart, and no other', () => {
  const page = readFileSync(path.resolve('docs', 'configuration.md'), 'utf8')
  const rows = page.split(/^## \[/m).flatMap(part => {
    const section = part.slice(0, part.indexOf(']'))
    const lines = part.split('\n').filter(line => line.startsWith('| `'))
    return lines.flatMap(line =>
      [...(line.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(
        ([, name]) => [`[${section}] ${name}`, !/Needs a restart\. \|$/.test(line)] as const,
      ),
    )
  })
  const keys = ALL.map(({ section, inFile, isLive }) => [`[${section}] ${inFile}`, isLive] as const)
  assert.deepEqual(rows.toSorted(), keys.toSorted())
})
