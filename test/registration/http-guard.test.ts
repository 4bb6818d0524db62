import assert from 'node:assert/strict'
import os from 'node:os'
import { type TestContext, test } from 'node:test'
import { ask, CLOSE, serve } from './http-listener.ts'
import { NOTIFY_BODY, post, registerBody } from './listeners.ts'

async function listener(
  t: TestContext,
  listen = ['127.0.0.1:11619', 'Mail.example.org:80', '[2001:db8::1]:80'],
) {
  const { address, registered, notified, log } = await serve(t, {}, { listen })
  const register = (...headers: string[]) =>
    ask(address, post('/register', registerBody(), [...CLOSE, ...headers]))
  return { address, register, registered, notified, log }
}

for (const type of [
  'application/json',
  'Application/JSON',
  'application/json;charset=UTF-8',
  'application/json ; x=y',
]) {
  test(`serves Content-Type: ${type}`, async t => {
    const { register, registered } = await listener(t)
    assert.equal((await register(`Content-Type: ${type}`)).status, 200)
    assert.equal(registered.length, 1)
  })
}

for (const type of [
  'text/plain',
  'application/x-www-form-urlencoded',
  '',
  'application/json5',
  'text/plain; x=application/json',
]) {
  test(`does not serve Content-Type: ${type || '(empty)'}, which a web page can send`, async t => {
    const { register, registered } = await listener(t)
    const { status, body } = await register(`Content-Type: ${type}`)
    assert.deepEqual([status, body], [415, 'Content-Type: application/json expected\n'])
    assert.deepEqual(registered, [])
  })
}

test('does not serve a POST without Content-Type, or with two', async t => {
  const { address, registered } = await listener(t)
  const without = post('/register', registerBody(), CLOSE).replace(/Content-Type.*\r\n/, '')
  assert.equal((await ask(address, without)).status, 415)
  const two = post('/register', registerBody(), CLOSE).replace(
    /(?=Content-Type)/,
    'Content-Type: text/plain\r\n',
  )
  assert.equal((await ask(address, two)).status, 415)
  assert.deepEqual(registered, [])
})

for (const origin of ['http://evil.example', 'null', 'http://localhost:11619', '']) {
  test(`does not serve a POST with Origin: ${origin || '(empty)'}`, async t => {
    const { register, registered } = await listener(t)
    assert.equal((await register(`Origin: ${origin}`)).status, 403)
    assert.deepEqual(registered, [])
  })
}

for (const host of [
  'localhost',
  'LocalHost:1',
  '127.0.0.1:11619',
  '127.8.9.10',
  '[::1]:11619',
  '[0:0:0:0:0:0:0:1]',
  'mail.example.ORG:80',
  '[2001:DB8:0::1]',
]) {
  test(`serves Host: ${host}`, async t => {
    const { register } = await listener(t)
    assert.equal((await register(`Host: ${host}`)).status, 200)
  })
}

for (const host of [
  'evil.example',
  'evil.example:11619',
  'localhost.evil.example',
  '127.0.0.1.evil.example',
  'user@localhost',
  'localhost, evil.example',
  '192.0.2.1',
  '[2001:db8::2]',
  os.hostname(),
  '',
]) {
  test(`does not serve Host: ${host || '(empty)'}, says what to set, and repeats no byte of it`, async t => {
    const { register, registered, log } = await listener(t)
    const { status, head, body } = await register(`Host: ${host}`)
    assert.equal(status, 421)
    assert.match(body, /^Host is no address of \[registration\] listen: .*\n$/)
    assert.ok(host === '' || !(head + body).includes(host))
    assert.deepEqual(registered, [])
    assert.deepEqual(log.messages(), ['warn a request was refused'])
  })
}

test('looks at Host on every path, whatever the method', async t => {
  const { address } = await listener(t)
  for (const line of [
    'GET /healthz',
    'HEAD /healthz',
    'GET /',
    'PUT /register',
    'OPTIONS *',
    'POST /nowhere',
  ]) {
    const request = `${line} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n`
    assert.equal((await ask(address, request)).status, 421, line)
  }
})

test('serves HTTP/1.0 without Host', async t => {
  const { address } = await listener(t)
  const request = post('/notify', NOTIFY_BODY)
    .replace('HTTP/1.1', 'HTTP/1.0')
    .replace(/Host.*\r\n/, '')
  assert.equal((await ask(address, request)).status, 200)
  assert.equal((await ask(address, 'GET /healthz HTTP/1.0\r\nHost: evil.example\r\n\r\n')).status, 421)
})

for (const wildcard of ['0.0.0.0:11619', '[::]:11619']) {
  test(`listening on ${wildcard} this machine's name and addresses are served, and no others`, async t => {
    const { register } = await listener(t, [wildcard])
    const addresses = Object.values(os.networkInterfaces()).flatMap(found => found ?? [])
    assert.ok(addresses.length > 0)
    for (const { address, family } of addresses) {
      const host = family === 'IPv6' ? `[${address}]:11619` : `${address}:11619`
      assert.equal((await register(`Host: ${host}`)).status, 200, host)
    }
    assert.equal((await register(`Host: ${os.hostname().toUpperCase()}`)).status, 200)
    assert.equal((await register('Host: evil.example')).status, 421)
    assert.equal((await register('Host: 203.0.113.77')).status, 421)
  })
}

test('a request that is refused before its body is read is cut off when it goes on', async t => {
  const { address } = await listener(t)
  const request = post('/register', 'x'.repeat(2_000), ['Origin: http://evil.example']).slice(0, -1_000)
  const { status, head } = await ask(address, request)
  assert.equal(status, 403)
  assert.match(head, /^Connection: close$/im)
})

test('an address that is not listed is refused where the system does not tell which this machine has', async t => {
  const { address } = await listener(t, ['0.0.0.0:11619'])
  t.mock.method(os, 'networkInterfaces', () => {
    throw new Error('EAFNOSUPPORT')
  })
  const from = (host: string) =>
    ask(address, `GET /healthz HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
  assert.equal((await from('192.0.2.1')).status, 421)
  assert.equal((await from('127.0.0.1')).status, 200)
})
