import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, lstatSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Device } from '../../plugins/xaps/device/device.ts'
import type { Registration } from '../../plugins/xaps/device/record.ts'
import type { MailEvent } from '../../plugins/xaps/event.ts'
import { bindUnixSocket } from '../../plugins/xaps/process/unix-socket.ts'
import {
  type Companion,
  type CompanionOptions,
  type CompanionParts,
  startCompanion,
} from '../../plugins/xaps/registration/companion.ts'
import type { Save } from '../../plugins/xaps/registration/spool.ts'
import { overviewOf } from '../observe/overviews.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { CLOSE } from './http-listener.ts'
import {
  companionOptions,
  companionScript,
  NO_EVENTS,
  NO_VIEW,
  NOTIFY_BODY,
  NOTIFY_LINE,
  post,
  registerBody,
  registerLine,
  TOPIC,
} from './listeners.ts'
import { spoolIn } from './spools.ts'
import { exchange, heldClock, keptLog } from './tools.ts'

function setup(t: TestContext, more: Partial<CompanionOptions> = {}) {
  const temp = tempDirectory()
  const companions: Companion[] = []
  t.after(async () => {
    // A companion may still be writing in the directory.
    await Promise.all(companions.map(companion => companion.close()))
    temp.remove()
  })
  const log = keptLog()
  // Held: on a slow machine no answer comes too late.
  const clock = heldClock()
  const saved: Kept[] = []
  const submitted: MailEvent[] = []
  const store = { away: false, failsFor: '' }
  const options = companionOptions(path.join(temp.path, 'xapsd.sock'), more)
  const save: Save = async (user, registration) => {
    if (store.away || user === store.failsFor) throw new Error('the store is away')
    saved.push({ user, ...registration })
  }
  const parts = (): CompanionParts => ({
    events: NO_EVENTS,
    save,
    replay: save,
    spool: spoolIn(path.join(temp.path, 'spool'), log, clock),
    onReady: () => undefined,
    async devices(user) {
      if (store.away) throw new Error('the store is away')
      return saved.filter(entry => entry.user === user).map(asDevice)
    },
    submit: event => void submitted.push(event),
    registered: () => undefined,
    notPushed: () => undefined,
    pending: () => 3,
    topic: () => TOPIC,
    configuration: () => 'v1',
    store: 'stest',
    view: { ...NO_VIEW, overview: () => overviewOf('usual', clock.now()) },
    log,
  })
  const start = async () => {
    const companion = await startCompanion(options, parts(), clock)
    companions.push(companion)
    return companion
  }
  /** Lets time pass until `condition` holds. */
  const pass = (condition: () => boolean, what: string) =>
    until(async () => {
      await clock.advance(500)
      return condition()
    }, what)
  return { temp, log, saved, submitted, store, options, start, pass }
}

type Kept = Registration & { readonly user: string }

function asDevice({ user: _, at, ...identity }: Kept): Device {
  return { ...identity, registeredAt: at, lastSeen: at }
}

function portOf(companion: Companion): { host: string; port: number } {
  return { host: '127.0.0.1', port: companion.addresses()[0]?.port ?? 0 }
}

const ask = (companion: Companion, bytes: string) => exchange(portOf(companion), bytes)

for (const [statusFrom, status] of [
  [['127.0.0.1'], '200 OK'],
  [[], '403 Forbidden'],
] as const)
  test(`status_from = ${statusFrom.join() || '(empty)'} answers a peer on 127.0.0.1 ${status}`, async t => {
    const { start } = setup(t, { statusFrom })
    const answer = await ask(
      await start(),
      'GET /status.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    )
    assert.ok(answer.startsWith(`HTTP/1.1 ${status}`), answer)
  })

test('registers and notifies through both listeners', async t => {
  const { options, saved, submitted, start } = setup(t)
  const companion = await start()
  const socket = { path: options.socket }
  assert.equal(await exchange(socket, registerLine('Line@example.org')), `OK ${TOPIC}\r\n`)
  assert.match(await ask(companion, post('/register', registerBody('http@example.org'), CLOSE)), /200 OK/)
  assert.deepEqual(
    saved.map(({ user }) => user),
    ['line@example.org', 'http@example.org'],
  )

  const line = NOTIFY_LINE.replace('user@', 'line@')
  assert.equal(await exchange(socket, line), 'OK \r\n')
  const body = NOTIFY_BODY.replace('user@', 'http@')
  assert.match(await ask(companion, post('/notify', body, CLOSE)), /200 OK/)
  await until(() => submitted.length === 2, 'both events')
  assert.deepEqual(
    submitted.map(({ user, kind }) => [user, kind]),
    [
      ['line@example.org', 'change'],
      ['http@example.org', 'change'],
    ],
  )
})

test('an unknown user is OK on the line and 404 over HTTP', async t => {
  const { options, submitted, start } = setup(t)
  const companion = await start()
  assert.equal(await exchange({ path: options.socket }, NOTIFY_LINE), 'OK \r\n')
  assert.match(await ask(companion, post('/notify', NOTIFY_BODY, CLOSE)), / 404 /)
  assert.deepEqual(submitted, [])
})

test('a registration that comes while the store is away is answered, kept and saved later', async t => {
  const { options, store, saved, start, pass } = setup(t)
  const companion = await start()
  store.away = true
  assert.equal(await exchange({ path: options.socket }, registerLine()), `OK ${TOPIC}\r\n`)
  assert.match(await ask(companion, 'GET /healthz HTTP/1.0\r\n\r\n'), / 503 .*the store is away/s)
  store.away = false
  await pass(() => saved.length === 1, 'the registration to be saved')
  assert.match(await ask(companion, 'GET /healthz HTTP/1.0\r\n\r\n'), / 200 /)
})

test('registrations of one user in the spool keep no other user from the store', async t => {
  const { options, store, saved, start } = setup(t, { listen: [] })
  await start()
  store.failsFor = 'flood@example.org'
  for (let i = 0; i < 3; i += 1)
    assert.equal(await exchange({ path: options.socket }, registerLine(store.failsFor)), `OK ${TOPIC}\r\n`)
  assert.equal(await exchange({ path: options.socket }, registerLine('other@example.org')), `OK ${TOPIC}\r\n`)
  assert.deepEqual(
    saved.map(({ user }) => user),
    ['other@example.org'],
  )
})

test('registrations in the spool of an earlier companion are saved', async t => {
  const { options, store, saved, start, pass } = setup(t, { listen: [] })
  store.away = true
  const first = await start()
  await exchange({ path: options.socket }, registerLine())
  await first.close()
  store.away = false
  await start()
  await pass(() => saved.length === 1, 'the registration to be saved')
})

test('removes its socket and stops listening when it closes', async t => {
  const { options, start } = setup(t)
  const companion = await start()
  const address = portOf(companion)
  assert.equal(lstatSync(options.socket).mode & 0o777, 0o660)
  await companion.close()
  assert.equal(existsSync(options.socket), false)
  await assert.rejects(exchange(address, ''))
  await companion.close()
})

test('without retry a listener that cannot be opened fails the start and closes the others', async t => {
  const taken = net.createServer().listen(0, '127.0.0.1')
  t.after(() => taken.close())
  await until(() => taken.listening, 'the port')
  const { port } = taken.address() as AddressInfo
  const { options, start } = setup(t, { listen: [`127.0.0.1:${port}`] })
  await assert.rejects(start(), new RegExp(`127.0.0.1:${port}: another process listens there`))
  assert.equal(existsSync(options.socket), false)
})

test('with retry the other listeners open, and the one that could not opens when it can', async t => {
  const taken = net.createServer().listen(0, '127.0.0.1')
  await until(() => taken.listening, 'the port')
  const { port } = taken.address() as AddressInfo
  const { options, log, start, pass } = setup(t, { listen: [`127.0.0.1:${port}`], retry: true })
  const companion = await start()
  assert.equal(await exchange({ path: options.socket }, registerLine()), `OK ${TOPIC}\r\n`)
  assert.deepEqual(companion.addresses(), [])
  await new Promise(resolve => taken.close(resolve))
  await pass(() => companion.addresses().length === 1, 'the port to be opened')
  await until(() => log.messages().includes('notice listening after all'), 'the log line')
})

test('serves a socket that its parent bound, and leaves the file to the parent', async t => {
  const { temp, options } = setup(t, { inherited: [{ protocol: 'line', fd: 3 }] })
  const file = path.join(temp.path, 'bound.sock')
  const bound = bindUnixSocket({ path: file, mode: 0o600 })
  t.after(() => bound.remove())
  const script = companionScript(options, "process.stdin.on('end', () => companion.close()).resume()")
  const child = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'inherit', 'inherit', bound.fd] })
  t.after(() => child.kill('SIGKILL'))
  assert.equal(await until(() => exchange({ path: file }, registerLine()), 'the child to listen'), 'OK T\r\n')
  child.stdin?.end()
  assert.equal(await new Promise(resolve => child.on('exit', resolve)), 0)
  assert.ok(existsSync(file))
})
