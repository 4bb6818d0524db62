import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressOf, parseStoreUri, withoutPassword } from '../../plugins/xaps/base/store-uri.ts'

/** As one line: form, servers, what else there is. */
function read(uri: string): string | undefined {
  const place = parseStoreUri(uri)
  if (place?.kind !== 'redis') return place?.kind
  const { form, tls, servers, username, password, database, master, sentinel } = place
  const login = [username, password, sentinel.username, sentinel.password].map(part => part ?? '-').join(' ')
  return `${form}${tls ? ' tls' : ''} ${servers.map(addressOf).join(' ')} | ${login} | ${master || '-'} ${database}`
}

const UNDERSTOOD: readonly (readonly [uri: string, expected: string])[] = [
  ['redis://h', 'single h:6379 | - - - - | - 0'],
  ['redis://:p%40ss@h:1/2', 'single h:1 | - p@ss - - | - 2'],
  ['rediss://u:p@[::1]:7', 'single tls [::1]:7 | u p - - | - 0'],
  ['redis+sentinel://a,b:2,[::1]/m', 'sentinel a:26379 b:2 [::1]:26379 | - - - - | m 0'],
  ['rediss+sentinel://u:p@a/m/3', 'sentinel tls a:26379 | u p - - | m 3'],
  ['redis+sentinel://:p@a/m?sentinel_username=s&sentinel_password=q%26', 'sentinel a:26379 | - p s q& | m 0'],
  ['redis-sentinel://a,b:2/4?sentinelMasterId=m', 'sentinel a:26379 b:2 | - - - - | m 4'],
  ['redis-sentinel://p@a?sentinelMasterId=m', 'sentinel a:26379 | - p - - | m 0'],
  ['redis+cluster://u:p@a,b:2', 'cluster a:6379 b:2 | u p - - | - 0'],
  ['rediss+cluster://a', 'cluster tls a:6379 | - - - - | - 0'],
]

for (const [uri, expected] of UNDERSTOOD) test(`${uri} is read`, () => assert.equal(read(uri), expected))

test('what is no such URI is refused', () => {
  for (const uri of [
    'redis://a,b',
    'redis://h/x',
    'redis://',
    'redis+sentinel://a',
    'redis+sentinel://a/',
    'redis+sentinel://a/m/x',
    'redis+sentinel://a/m/1/2',
    'redis+sentinel://a,/m',
    'redis+sentinel://a/m?other=1',
    'redis+sentinel://:%@a/m',
    'redis-sentinel://a/0',
    'redis-sentinel://a/0/1?sentinelMasterId=m',
    'redis-cluster://a',
    'redis+cluster://a/1',
    'redis+cluster://a?b=c',
    'redis+cluster://a:b',
    'sentinel://a/m',
  ])
    assert.equal(read(uri), undefined, uri)
})

test('no secret is shown, wherever it stands', () => {
  for (const [uri, shown] of [
    ['redis://u:se:cr@et@h', 'redis://u:***@h'],
    ['redis+sentinel://:secret@a,b:1/m', 'redis+sentinel://:***@a,b:1/m'],
    ['redis-sentinel://secret@a:1,b?sentinelMasterId=m', 'redis-sentinel://***@a:1,b?sentinelMasterId=m'],
    [
      'redis+sentinel://a:1/m?sentinel_username=s&sentinel_password=secret',
      'redis+sentinel://a:1/m?sentinel_username=s&sentinel_password=***',
    ],
    ['redis+sentinel://a/m?sentinel%5Fpassword=secret', 'redis+sentinel://a/m?sentinel%5Fpassword=***'],
    ['redis+cluster://a:1,b:2', 'redis+cluster://a:1,b:2'],
    ['lmdb:/var/lib/a?b=c', 'lmdb:/var/lib/a?b=c'],
  ] as const)
    assert.equal(withoutPassword(uri), shown)
})
