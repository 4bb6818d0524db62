import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostIn, isLoopback, isWildcard, parseTcpAddress } from '../../plugins/xaps/base/tcp-address.ts'

test('reads addresses with a port', () => {
  assert.deepEqual(parseTcpAddress('[::1]:11619'), { host: '::1', port: 11619 })
  assert.deepEqual(parseTcpAddress('127.0.0.1:0'), { host: '127.0.0.1', port: 0 })
  assert.deepEqual(parseTcpAddress('localhost:65535'), { host: 'localhost', port: 65535 })
})

for (const text of [
  '',
  '11619',
  ':11619',
  '::1:11619',
  '[::1]',
  '[::zz]:1',
  '[127.0.0.1]:1',
  '127.0.0.1:65536',
  '127.0.0.256:1',
  'a b:1',
  'x:-1',
]) {
  test(`does not guess what "${text}" means`, () => {
    assert.throws(() => parseTcpAddress(text), /expected an address and a port, like \[::1\]:11619/)
  })
}

test('a host is one host, however it is written', () => {
  assert.deepEqual(
    ['Mail.Example.ORG:1', 'mail.example.org', '[::1]', '[0:0::0:1]:80', '127.0.0.1'].map(hostIn),
    ['mail.example.org', 'mail.example.org', '::1', '::1', '127.0.0.1'],
  )
  assert.deepEqual(['', 'a@b', 'a/b', 'a, b', '::1', '127.1'].map(hostIn), [
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ])
})

test('knows what only this machine can reach', () => {
  assert.deepEqual(['127.0.0.1', '127.9.9.9', '::1', 'localhost'].map(isLoopback), [true, true, true, true])
  assert.deepEqual(['0.0.0.0', '::', '192.0.2.1', '127.example.org'].map(isLoopback), [
    false,
    false,
    false,
    false,
  ])
})

test('knows what means all addresses', () => {
  assert.deepEqual(['0.0.0.0', '::', '127.0.0.1', 'localhost'].map(isWildcard), [true, true, false, false])
})
