import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostIn, isLoopback, isWildcard, parseTcpAddress } from '../../plugins/xaps/base/addresses.ts'

test('reads addresses with a port', () => {
  assert.deepEqual(parseTcpAddress('[::1]:11619'), { host: '::1', port: 11619 })
  assert.deepEqual(parseTcpAddress('127.0.0.1:0'), { host: '127.0.0.1', port: 0 })
  assert.deepEqual(parseTcpAddress('localhost:65535'), { host: 'localhost', port: 65535 })
})

const NO_ADDRESSES =
  ', 11619, :11619, ::1:11619, [::1], [::zz]:1, [127.0.0.1]:1, 127.0.0.1:65536, 127.0.0.256:1, a b:1, x:-1'

for (const text of NO_ADDRESSES.split(', ')) {
  test(`does not guess what "${text}" means`, () => {
    assert.throws(() => parseTcpAddress(text), /expected an address and a port, like \[::1\]:11619/)
  })
}

const HOSTS: readonly (readonly [text: string, host: string | undefined])[] = [
  ['Mail.Example.ORG:1', 'mail.example.org'],
  ['mail.example.org', 'mail.example.org'],
  ['[::1]', '::1'],
  ['[0:0::0:1]:80', '::1'],
  ['127.0.0.1', '127.0.0.1'],
  ...['', 'a@b', 'a/b', 'a, b', '::1', '127.1'].map(text => [text, undefined] as const),
]

test('a host is one host, however it is written', () => {
  for (const [text, host] of HOSTS) assert.equal(hostIn(text), host, text)
})

test('knows what only this machine can reach, and what means all addresses', () => {
  const hosts = [
    '127.0.0.1',
    '127.9.9.9',
    '::1',
    'localhost',
    '0.0.0.0',
    '::',
    '192.0.2.1',
    '127.example.org',
  ]
  assert.deepEqual(hosts.filter(isLoopback), hosts.slice(0, 4))
  assert.deepEqual(hosts.filter(isWildcard), ['0.0.0.0', '::'])
})
