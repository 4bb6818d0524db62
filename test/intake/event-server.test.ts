import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { Intake } from '../../plugins/xaps/intake/intake.ts'
import { connect, heldClock, keptLog } from '../registration/tools.ts'
import { until } from '../support/wait.ts'
import { endEvent, NO_PHONES, recordedRequest, sieveEvent } from './exporter.ts'

async function setup(t: TestContext) {
  const clock = heldClock()
  const log = keptLog()
  const users: string[] = []
  const parts = {
    ...NO_PHONES,
    notPushed: () => undefined,
    newMail: (user: string) => void users.push(user),
    userOf: async () => undefined,
    close: () => undefined,
  }
  const intake = new Intake({ lowercase: true }, parts, log, clock)
  const { server, close } = intake.makeServer()
  server.listen(0, '127.0.0.1')
  await until(() => server.listening, 'the server')
  t.after(close)
  const { port } = server.address() as AddressInfo
  const open = () => connect({ port, host: '127.0.0.1' })
  /** Resolves when an event of `user` that is sent over a connection of its own has been taken. */
  const mark = async (user: string) => {
    const client = await open()
    client.socket.end(`${event(user)}\n`)
    await until(() => users.includes(user), `the event of ${user}`)
  }
  return { log, users, intake, open, mark }
}

let sessions = 0

/** Each is of a delivery of its own. */
function event(user: string, more = {}): string {
  sessions += 1
  return sieveEvent({ user, session: `s${sessions}`, ...more })
}

test('the recorded stream of Dovecot 2.4: one new mail for each kept mail', async t => {
  const { users, intake, open } = await setup(t)
  const stream = recordedRequest('24-unix-stream')
  const { socket } = await open()
  socket.write(stream)
  const kept = stream.split('\n').filter(line => line.includes('"action_name":"keep"'))
  await until(() => users.length === kept.length, 'the events')
  assert.ok(kept.length > 0)
  assert.match(intake.status(), new RegExp(`^events=${stream.trim().split('\n').length} last_event=20`))
})

test('a torn line is read from the last event in it; what is no event is skipped, and said once', async t => {
  const { users, log, open } = await setup(t)
  const { socket } = await open()
  const torn = event('lost@example.org').slice(0, 150)
  const bad = [
    '',
    'GARBAGE',
    '{',
    'null',
    torn,
    event('a\u0000b'),
    Buffer.from([0xff, 0xfe]).toString('latin1'),
  ]
  socket.write(`${torn}${event('torn@example.org')}\n${bad.join('\n')}\n${event('last@example.org')}\n`)
  await until(() => users.includes('last@example.org'), 'the last event')
  assert.deepEqual(users, ['torn@example.org', 'last@example.org'])
  const warned = log.messages().filter(line => line.startsWith('warn'))
  assert.equal(warned.length, 2, warned.join('\n'))
  assert.doesNotMatch(JSON.stringify(log.entries), /secret|sender|GARBAGE/)
})

test('a subject that looks like an event is none', async t => {
  const { users, open, mark } = await setup(t)
  const { socket } = await open()
  socket.write(`${event('alice@example.org', { message_subject: event('eve@example.org') })}\n`)
  await until(() => users.length === 1, 'the event')
  await mark('bob@example.org')
  assert.deepEqual(users, ['alice@example.org', 'bob@example.org'])
})

test('however the stream is cut into pieces, each event comes once', async t => {
  const { users, open } = await setup(t)
  const pieces = fc.array(fc.nat(2000), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(pieces, async cuts => {
      users.length = 0
      const names = ['a', 'bü', 'c', 'd'].map(name => `${name}@example.org`)
      const bytes = Buffer.from(names.map(name => `${event(name)}\n`).join(''))
      const { socket } = await open()
      let from = 0
      for (const to of [...cuts.sort((a, b) => a - b), bytes.length]) {
        if (to > from) await new Promise(resolve => socket.write(bytes.subarray(from, to), resolve))
        from = Math.max(from, to)
      }
      await until(() => users.length === names.length, 'the events')
      assert.deepEqual(users, names)
      socket.destroy()
    }),
    { numRuns: 30 },
  )
})

test('a line without end takes bounded memory, and the next line is read', async t => {
  const { users, open } = await setup(t)
  const { socket } = await open()
  const chunk = Buffer.alloc(1024 * 1024, '{"event":')
  const before = process.memoryUsage.rss()
  for (let count = 0; count < 64; count += 1)
    await new Promise<void>(resolve => socket.write(chunk, () => resolve()))
  socket.write(`\n${event('alice@example.org')}\n`)
  await until(() => users.length === 1, 'the next line')
  const grown = (process.memoryUsage.rss() - before) / 1024 / 1024
  assert.ok(grown < 60, `${grown} MiB`)
})

test('a peer that sends a hundred lines that are no events is let go, and others are heard', async t => {
  const { users, open, mark } = await setup(t)
  const good = await open()
  const bad = await open()
  bad.socket.write('{"event":\n'.repeat(1_000_000))
  await bad.ended
  good.socket.write(`${event('good@example.org')}\n`)
  await until(() => users.includes('good@example.org'), 'the event')
  await mark('bob@example.org')
})

test('of many connections the last heard of stay; an idle one stays for ever', async t => {
  const { users, open } = await setup(t)
  const first = await open()
  const others = []
  for (let count = 0; count < 3; count += 1) others.push(await open())
  first.socket.write(`${event('first@example.org')}\n`)
  await until(() => users.length === 1, 'the first event')
  const fifth = await open()
  await others[0]?.ended
  for (const [index, client] of [first, fifth].entries())
    client.socket.write(`${event(`again${index}@example.org`)}\n`)
  await until(() => users.length === 3, 'both')
})

test('a peer that goes away in the middle of a line harms nobody', async t => {
  const { users, open, mark } = await setup(t)
  const { socket } = await open()
  await new Promise(resolve =>
    socket.write(`${event('whole@example.org')}\n${endEvent().slice(0, 40)}`, resolve),
  )
  await until(() => users.length === 1, 'the whole line')
  socket.resetAndDestroy()
  await mark('bob@example.org')
})
