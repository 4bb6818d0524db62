import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { NetConnectOpts } from 'node:net'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { makeLineServer } from '../../plugins/xaps/registration/line-server.ts'
import { Unfinished } from '../../plugins/xaps/registration/receive.ts'
import { Unavailable } from '../../plugins/xaps/registration/refusal.ts'
import { turns } from '../support/fake-clock.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { type Behaviour, makeListener, NOTIFY_LINE, registerLine, TOPIC } from './listeners.ts'
import { type Client, connect, exchange, heldClock } from './tools.ts'

async function serve(t: TestContext, behaviour: Behaviour = {}) {
  const temp = tempDirectory()
  const address: NetConnectOpts = { path: path.join(temp.path, 'xapsd.sock') }
  const made = makeListener(behaviour)
  const listener = makeLineServer(made.parts, behaviour.clock)
  await new Promise<void>(resolve => listener.server.listen(address.path, resolve))
  t.after(async () => {
    await listener.close(0)
    temp.remove()
  })
  return { ...made, listener, address }
}

const recorded = (name: string) => readFileSync(path.join('test/fixtures/wire', `${name}.txt`))
const fails = (error: Error) => ({ accept: () => Promise.reject(error) })

for (const [what, request, reply, behaviour] of [
  ['a registration', registerLine(), `OK ${TOPIC}`],
  ['a recorded registration', recorded('st3fan-reg-basic'), `OK ${TOPIC}`],
  ['a recorded registration with a comma in a name', recorded('st3fan-reg-mb-comma'), `OK ${TOPIC}`],
  ['a recorded registration with an encoded name', recorded('st3fan-reg-mb-mutf7'), `OK ${TOPIC}`],
  [
    'a registration that cannot be kept',
    registerLine(),
    'ERROR try again',
    fails(new Unavailable('try again')),
  ],
  ['a registration that fails', registerLine(), 'ERROR internal error', fails(new TypeError('secret'))],
  ['a notification', NOTIFY_LINE, 'OK '],
  ['a question how the companion is', 'STATUS\r\n', 'OK up_seconds=1'],
] as const) {
  test(`answers ${what} with ${reply}`, async t => {
    const { address } = await serve(t, behaviour)
    assert.equal(await exchange(address, request), `${reply}\r\n`)
  })
}

for (const [what, request, reply] of [
  ['a client that has ended its side', registerLine(), `OK ${TOPIC}\r\n`],
  ['a line whose end never came', 'REGISTER aps-account-id="A"', 'ERROR the line is not complete\r\n'],
  ['a connection without a byte', '', ''],
] as const) {
  test(`answers ${what} with ${JSON.stringify(reply)}`, async t => {
    const { address, log } = await serve(t)
    const client = await connect(address)
    client.socket.end(request)
    assert.equal(await client.ended, reply)
    assert.equal(log.entries.length, reply.startsWith('ERROR') ? 1 : 0)
  })
}

test('hands a registration on with its values in canonical form', async t => {
  const { address, registered } = await serve(t)
  await exchange(address, registerLine('User@example.org'))
  assert.equal(registered[0]?.user, 'user@example.org')
})

test('answers a notification before anything is looked up', async t => {
  const { address, notified } = await serve(t, { notify: () => new Promise(() => undefined) })
  assert.equal(await exchange(address, NOTIFY_LINE), 'OK \r\n')
  assert.deepEqual(notified, [{ user: 'user@example.org', mailbox: 'INBOX', events: ['FlagsSet'] }])
})

test('a notification that fails later is logged', async t => {
  const { address, log } = await serve(t, { notify: () => Promise.reject(new Error('broken')) })
  assert.equal(await exchange(address, NOTIFY_LINE), 'OK \r\n')
  await until(() => log.entries.length === 1, 'the log line')
})

test('logs an unexpected error as one', async t => {
  const { address, log } = await serve(t, fails(new TypeError('secret')))
  await exchange(address, registerLine())
  assert.equal(log.entries[0]?.level, 'error')
})

for (const [what, line] of [
  ['a second line', registerLine() + registerLine('victim@example.org')],
  [
    'a line break inside quotes',
    registerLine('user@example.org', '("INBOX\r\n'.concat(registerLine().trim(), '")')),
  ],
  ['a single byte', `${registerLine()}x`],
] as const) {
  test(`refuses all of a request with ${what} after the line`, async t => {
    const { address, registered } = await serve(t)
    assert.match(await exchange(address, line), /^ERROR [\x20-\x7e]+\r\n$/)
    assert.deepEqual(registered, [])
  })
}

test('refuses bytes after a line that fills exactly what is read at once', async t => {
  const { address, registered } = await serve(t)
  const empty = registerLine('u@example.org', '("")').length
  const names = `"${'x'.repeat(999)}",`.repeat(Math.floor((65_536 - empty) / 1002))
  const rest = 65_536 - registerLine('u@example.org', `(${names}"")`).length
  const line = registerLine('u@example.org', `(${names}"${'x'.repeat(rest)}")`)
  assert.equal(line.length, 65_536)
  assert.equal(await exchange(address, line), `OK ${TOPIC}\r\n`)
  assert.equal(await exchange(address, line + registerLine()), 'ERROR bytes after the line\r\n')
  assert.equal(registered.length, 1)
})

test('takes a line that comes byte by byte', async t => {
  const { address } = await serve(t)
  const client = await connect(address)
  for (const byte of NOTIFY_LINE) {
    client.socket.write(byte)
    await turns(1)
  }
  assert.equal(await client.ended, 'OK \r\n')
})

test('a client that resets the connection before its answer disturbs no other', async t => {
  let answer: (topic: string) => void = () => undefined
  const { address, registered } = await serve(t, { accept: () => new Promise(resolve => (answer = resolve)) })
  const client = await connect(address, registerLine())
  await until(() => registered.length === 1, 'the registration')
  client.socket.destroy()
  await turns()
  answer(TOPIC)
  assert.equal(await exchange(address, NOTIFY_LINE), 'OK \r\n')
})

test('a request that is half sent ends after 10 s, however slowly it goes on', async t => {
  const clock = heldClock()
  const { address } = await serve(t, { clock })
  const client = await connect(address, 'REG')
  await until(() => clock.next !== undefined, 'the connection')
  for (let second = 0; second < 9; second += 1) {
    client.socket.write('x')
    await clock.advance(1_000)
  }
  assert.equal(client.received(), '')
  await clock.advance(1_000)
  assert.equal(await client.ended, 'ERROR no complete line within 10 seconds\r\n')
})

test('a client that does not close after its reply is cut off a second later', async t => {
  const clock = heldClock()
  const { address } = await serve(t, { clock })
  const client = await connect({ ...address, allowHalfOpen: true } as NetConnectOpts, NOTIFY_LINE)
  assert.equal(await client.ended, 'OK \r\n')
  await clock.advance(1_000)
  client.socket.on('error', () => undefined)
  await until(() => {
    client.socket.write('x')
    return client.socket.destroyed
  }, 'the connection to be closed')
})

test('a line of 10 MB is refused, and its sender gets to read that', async t => {
  const { address } = await serve(t)
  assert.equal(await exchange(address, Buffer.alloc(10_000_000, 'x')), 'ERROR longer than 1048576 bytes\r\n')
  assert.equal(await exchange(address, registerLine()), `OK ${TOPIC}\r\n`)
})

test('500 half-sent requests do not keep a good one from its answer', async t => {
  const { address } = await serve(t)
  const clients: Client[] = []
  for (let i = 0; i < 500; i += 1) clients.push(await connect(address, 'REGISTER aps-account-id="'))
  assert.equal(await exchange(address, registerLine()), `OK ${TOPIC}\r\n`)
  for (const { socket } of clients) socket.destroy()
})

test('unfinished requests share their memory: beyond it the oldest is refused, and it comes back', async t => {
  const { address, parts } = await serve(t, { unfinished: new Unfinished(200_000) })
  const clients: Client[] = []
  for (let i = 1; i <= 3; i += 1) {
    clients.push(await connect(address, Buffer.alloc(90_000, 'x')))
    if (i < 3) await until(() => parts.unfinished.held > i * 90_000, 'the bytes to come in')
  }
  assert.equal(await clients[0]?.ended, 'ERROR busy, try again\r\n')
  assert.equal(await exchange(address, NOTIFY_LINE), 'OK \r\n')
  clients[2]?.socket.write('\r\n')
  assert.match(String(await clients[2]?.ended), /^ERROR (?!busy)/)
  clients[1]?.socket.destroy()
  await until(() => parts.unfinished.held === 0, 'the memory to be free again')
})

test('logs a refusal once a minute per cause and user, ten in all, and then how many more there were', async t => {
  const clock = heldClock()
  const { address, log } = await serve(t, { clock })
  const bad = (user: string) => registerLine(user).replace(/token="\w+"/, 'token="%zz"')
  for (let i = 0; i < 5; i += 1) await exchange(address, bad('someone@example.org'))
  assert.equal(log.entries.length, 1)
  assert.equal(log.entries[0]?.fields.user, 's***@example.org')
  for (let i = 0; i < 20; i += 1)
    await exchange(address, bad(`user@${'abcdefghijklmnopqrstuvwxyz'[i]}.example`))
  assert.equal(log.entries.length, 10)
  await clock.advance(60_000)
  assert.deepEqual(log.entries[10]?.fields, { count: 15 })
  await exchange(address, bad('someone@example.org'))
  assert.equal(log.entries.length, 12, 'in the next minute it is news')
})

test('closing ends connections without a request and finishes the others', async t => {
  let answer: (topic: string) => void = () => undefined
  const { listener, address, registered } = await serve(t, {
    accept: () => new Promise(resolve => (answer = resolve)),
  })
  const idle = await connect(address)
  const asking = await connect(address, registerLine())
  await until(() => registered.length === 1, 'the registration')
  const closed = listener.close(10_000)
  assert.equal(await idle.ended, '')
  answer(TOPIC)
  assert.equal(await asking.ended, `OK ${TOPIC}\r\n`)
  await closed
})

test('closing does not wait longer than the time it is given', async t => {
  const clock = heldClock()
  const accept = () => new Promise<string>(() => undefined)
  const { listener, address, registered } = await serve(t, { clock, accept })
  const asking = await connect(address, registerLine())
  await until(() => registered.length === 1, 'the registration')
  const closed = listener.close(1_000)
  await clock.advance(1_000)
  await closed
  assert.equal(await asking.ended, '')
})
