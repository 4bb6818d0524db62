import assert from 'node:assert/strict'
import type net from 'node:net'
import path from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { TtlCache } from '../../plugins/xaps/base/ttl-cache.ts'
import { UserDb } from '../../plugins/xaps/delivery/userdb.ts'
import { parseLine, requestLine } from '../../plugins/xaps/delivery/userdb-protocol.ts'
import { missingDovecot, startDovecot } from '../support/dovecot.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { listenLocally } from '../support/loopback.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const ALICE = { kind: 'user', name: 'alice@example.com' } as const

describe("the lines of Dovecot's auth-userdb socket", () => {
  test('a question names the service, and what could end a field or a line is escaped', () => {
    assert.equal(requestLine(7, 'a\tb\r\n\0\x01c'), 'USER\t7\ta\x01tb\x01r\x01n\x010\x011c\tservice=lmtp\n')
  })

  const LINES: readonly (readonly [line: string, message: object])[] = [
    ['USER\t7\ta\x01tb\x011c\x01x\tuid=8\t', { id: 7, answer: { kind: 'user', name: 'a\tb\x01cx' } }],
    ['NOTFOUND\t3', { id: 3, answer: { kind: 'unknown' } }],
    [
      'FAIL\t4\treason=no SQL',
      { id: 4, answer: { kind: 'unavailable', reason: 'Dovecot answered FAIL reason=no SQL' } },
    ],
    ['VERSION\t1\t2', { version: 1 }],
    ['SPID\t8551', {}],
  ]

  test('an answer carries the name unescaped, no user and no answer differ, and other verbs say nothing', () => {
    for (const [line, message] of LINES) assert.deepEqual(parseLine(line), message)
  })
})

/** A UserDb that ends with the test, its log, and a clock that goes on only when told to. */
function open(t: TestContext, socketPath: string) {
  const lines: string[] = []
  const write = (message: string, fields = {}) => void lines.push(`${message} ${JSON.stringify(fields)}`)
  const clock = new FakeClock()
  const userDb = new UserDb(socketPath, { info: write, warn: write }, clock)
  t.after(() => userDb.close())
  return { userDb, lines, advance: (ms: number) => clock.advance(ms) }
}

type Answering = (line: string, socket: net.Socket) => void

/** Listens in Dovecot's place, and treats each line as the test likes. */
async function startFake(t: TestContext, answering: Answering, socketPath?: string) {
  const listenAt = socketPath ?? path.join(owned(t, tempDirectory()).path, 'auth-userdb')
  const asked: string[] = []
  let connections = 0
  const serve = (socket: net.Socket) => {
    connections += 1
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      for (const line of chunk.split('\n').filter(line => line.startsWith('USER'))) {
        asked.push(line)
        answering(line, socket)
      }
    })
  }
  owned(t, await listenLocally(serve, listenAt))
  return { path: listenAt, asked, connections: () => connections }
}

const answerAll: Answering = (line, socket) =>
  void socket.write(`VERSION\t1\t1\nSPID\t1\n${line.replace(/\tservice=.*/, '')}\t\n`)

describe('UserDb with a real Dovecot', { skip: missingDovecot() }, () => {
  test('knows users in any case, names behind other names, and which name is none', async t => {
    const aliases = { 'boss@example.com': 'alice@example.com' }
    const dovecot = owned(t, await startDovecot({ users: ['alice@example.com'], aliases }))
    const { userDb, lines } = open(t, dovecot.authUserdbPath)
    const known = ['alice@example.com', 'ALICE@Example.com', 'boss@example.com']
    const names = [...known, 'nobody@example.com', 'a\tb\n@x']
    const answers = await Promise.all(names.map(name => userDb.lookup(name)))
    assert.deepEqual(answers, [ALICE, ALICE, ALICE, { kind: 'unknown' }, { kind: 'unknown' }])
    assert.deepEqual(lines, [])
  })

  test('a thousand questions at once on one connection get an answer each', async t => {
    const dovecot = owned(t, await startDovecot({ users: ['alice@example.com'] }))
    const { userDb, lines } = open(t, dovecot.authUserdbPath)
    const names = Array.from({ length: 999 }, (_, index) => `user${index}@example.com`)
    const answers = await Promise.all([...names, 'alice@example.com'].map(name => userDb.lookup(name)))
    assert.deepEqual(answers.pop(), ALICE)
    assert.ok(answers.every(({ kind }) => kind === 'unknown'))
    assert.deepEqual(lines, [])
  })
})

describe('UserDb', () => {
  test('asks once for a name that several wait for, and again when the answer is a minute old', async t => {
    const fake = await startFake(t, answerAll)
    const { userDb, advance } = open(t, fake.path)
    const ask = () => userDb.lookup('alice@example.com')
    await Promise.all([ask(), ask()])
    await advance(59_999)
    assert.deepEqual([await ask(), fake.asked.length], [ALICE, 1])
    await advance(1)
    await ask()
    assert.deepEqual([fake.asked.length, fake.connections()], [2, 1])
  })

  test('remembers for ten seconds that there is no such user', async t => {
    const fake = await startFake(t, (line, socket) => void socket.write(`NOTFOUND\t${line.split('\t')[1]}\n`))
    const { userDb, advance } = open(t, fake.path)
    await userDb.lookup('a')
    await advance(9_999)
    assert.deepEqual([await userDb.lookup('a'), fake.asked.length], [{ kind: 'unknown' }, 1])
    await advance(1)
    await userDb.lookup('a')
    assert.equal(fake.asked.length, 2)
  })

  test('without a socket it answers at once, says so once, and finds it when it is there', async t => {
    const socketPath = path.join(owned(t, tempDirectory()).path, 'auth-userdb')
    const { userDb, lines, advance } = open(t, socketPath)
    const kindOf = async (name: string) => (await userDb.lookup(name)).kind
    assert.deepEqual([await kindOf('alice@example.com'), await kindOf('bob')], ['unavailable', 'unavailable'])
    assert.match(lines.join('\n'), /^.*does not answer.*ENOENT.*$/)

    const fake = await startFake(t, answerAll, socketPath)
    assert.deepEqual([await kindOf('alice@example.com'), fake.asked.length], ['unavailable', 0])
    await advance(500)
    assert.deepEqual(await userDb.lookup('alice@example.com'), ALICE)
    assert.equal(lines.length, 2)
    assert.match(lines[1] ?? '', /answers again/)
  })

  test('a socket that never answers costs two seconds, and nothing while it is left alone', async t => {
    const fake = await startFake(t, () => undefined)
    const { userDb, lines, advance } = open(t, fake.path)
    const waiting = Promise.all([userDb.lookup('alice@example.com'), userDb.lookup('bob@example.com')])
    await until(() => fake.asked.length === 2, 'the questions')
    await advance(2_000)
    const answers = [...(await waiting), await userDb.lookup('carol@example.com')]
    assert.ok(answers.every(({ kind }) => kind === 'unavailable'))
    assert.deepEqual([fake.asked.length, lines.length], [2, 1])
  })

  test('the pause after failures grows to 15 seconds and not beyond', async t => {
    const fake = await startFake(t, (_, socket) => void socket.destroy())
    const { userDb, advance } = open(t, fake.path)
    await userDb.lookup('a')
    for (const [index, pause] of [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000].entries()) {
      await advance(pause - 1)
      await userDb.lookup('a')
      assert.equal(fake.asked.length, index + 1)
      await advance(1)
      await userDb.lookup('a')
      assert.equal(fake.asked.length, index + 2)
    }
  })

  test('a question that meets a restart of Dovecot is asked again on a new connection', async t => {
    let restarting = false
    const fake = await startFake(t, (line, socket) => {
      if (restarting) socket.destroy()
      else answerAll(line, socket)
      restarting = false
    })
    const { userDb, lines } = open(t, fake.path)
    await userDb.lookup('bob@example.com')
    restarting = true
    assert.deepEqual(await userDb.lookup('alice@example.com'), ALICE)
    assert.deepEqual(lines, [])
  })

  test('a server of another protocol version, and one that talks without end, are left alone', async t => {
    for (const nonsense of ['VERSION\t2\t0\n', 'x'.repeat(100_000)]) {
      const fake = await startFake(t, (_, socket) => void socket.write(nonsense))
      const { userDb, lines } = open(t, fake.path)
      assert.equal((await userDb.lookup('a')).kind, 'unavailable')
      assert.equal(lines.length, 1)
    }
  })

  test('a userdb that fails for one user only does not fill the log', async t => {
    const fake = await startFake(t, (line, socket) =>
      line.includes('bad') ? void socket.write(`FAIL\t${line.split('\t')[1]}\n`) : answerAll(line, socket),
    )
    const { userDb, lines, advance } = open(t, fake.path)
    for (let round = 0; round < 5; round++) {
      assert.equal((await userDb.lookup(`bad${round}`)).kind, 'unavailable')
      assert.equal((await userDb.lookup(`good${round}`)).kind, 'user')
      await advance(10_000)
    }
    assert.equal(lines.length, 2)
  })

  test('once closed it does not ask', async t => {
    const fake = await startFake(t, answerAll)
    const { userDb } = open(t, fake.path)
    await userDb.lookup('a')
    userDb.close()
    assert.equal((await userDb.lookup('b')).kind, 'unavailable')
    assert.equal(fake.asked.length, 1)
  })
})

test('a full cache of answers evicts the one that was set longest ago', () => {
  const cache = new TtlCache<number>(2, new FakeClock())
  for (const [key, value] of ['a', 'b', 'a', 'c'].entries()) cache.set(value, key, 100)
  assert.deepEqual(
    ['a', 'b', 'c'].map(key => cache.get(key)),
    [2, undefined, 3],
  )
})
