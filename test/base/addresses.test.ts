import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  hostIn,
  isLoopback,
  isNetwork,
  isWildcard,
  isWithin,
  parseTcpAddress,
} from '../../plugins/xaps/base/addresses.ts'

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

const NETWORKS = ['192.0.2.7', '10.0.0.0/8', '127.0.0.1/32', '::1', 'fd00::/8', '0.0.0.0/0', '::/0']
const NO_NETWORKS =
  '/, /8, 10/8, 10.0.0.0/33, 10.0.0.256/8, 10.0.0.0/-1, 10.0.0.0/8/8, fd00::/129, localhost, *, [::1]'

test('a network is an address, or an address and the length of its prefix', () => {
  assert.deepEqual(NETWORKS.filter(isNetwork), NETWORKS)
  assert.deepEqual(['', ...NO_NETWORKS.split(', ')].filter(isNetwork), [])
})

test('a peer is within networks in whichever form its address is written, and an unknown one never', () => {
  const networks = ['192.0.2.7', '10.0.0.0/8', 'fd00::/8', 'fe90::/16']
  const within = ['fe90::1%eth0', '192.0.2.7', '::ffff:192.0.2.7', '10.255.0.1', 'fd12::1', 'FD12:0::1']
  const outside = [
    '192.0.2.8',
    '::ffff:192.0.2.8',
    '11.0.0.1',
    'fe80::1',
    'fe80::1%eth0',
    '::',
    '',
    'localhost',
  ]
  const found = [...within, ...outside].filter(peer => isWithin(networks, peer))
  assert.deepEqual(found, within)
  assert.deepEqual(
    [...within, ...outside].filter(peer => isWithin([], peer)),
    [],
  )
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
