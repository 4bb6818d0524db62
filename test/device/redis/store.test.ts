import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../../plugins/xaps/base/clock.ts'
import { openStore } from '../../../plugins/xaps/device/open.ts'
import { RedisStore } from '../../../plugins/xaps/device/redis/store.ts'
import type { DeviceStore } from '../../../plugins/xaps/device/store.ts'
import { missingRedis, placeOf, type Redis, startRedis, startRedisProgram } from '../../support/redis.ts'
import { freePort, type ServerProcess } from '../../support/server.ts'
import { tempDirectory } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'
import { storeContract } from '../contract.ts'
import { type LogLine, recordingLog, registering, startWorker } from '../fixtures.ts'

const skip = missingRedis()

storeContract('Redis', skip, async () => {
  const redis = await startRedis()
  return {
    uri: redis.uri,
    async writeRaw(namespace, key, text) {
      await redis.command('SET', `${namespace}::${key}`, text)
    },
    remove: redis.stop,
  }
})

describe('a device store on a Redis that fails', { skip }, () => {
  let redis: Redis
  const stores: DeviceStore[] = []
  before(async () => {
    redis = await startRedis()
  })
  after(async () => {
    await Promise.all(stores.map(store => store.close()))
    await redis.stop()
  })

  /** The lines of its log about the server, without its name. */
  const newsIn = (lines: readonly LogLine[]) =>
    lines
      .filter(({ level }) => level === 'warn' || level === 'notice')
      .map(({ message }) => message.replace(/^Redis at \S+ /, ''))

  const untilRefused = (store: DeviceStore) =>
    until(
      () => assert.rejects(store.devices('bob'), /ECONNREFUSED/).then(() => true),
      'a connection to be refused',
    )

  async function open(uri = redis.uri, deadlineMs = 300) {
    const { log, lines } = recordingLog()
    const common = { namespace: 'xaps', expireAfterMs: 86_400_000, log, clock: systemClock }
    const store = new RedisStore({ ...common, place: placeOf(uri), deadlineMs })
    stores.push(store)
    return { store, lines }
  }

  const everyOperation = (store: DeviceStore): Array<Promise<unknown>> => [
    store.devices('alice'),
    store.update('alice', registering(`t${Math.random()}`)),
    store.claim('push', { ageMs: 0, windowMs: 5_000 }),
    store.came('alice'),
    store.lastPush('alice'),
    store.users()[Symbol.asyncIterator]().next(),
    store.sweep(),
    store.warnings(),
  ]

  const assertAllReject = async (store: DeviceStore, expected: RegExp) => {
    await Promise.all(everyOperation(store).map(operation => assert.rejects(operation, expected)))
  }

  test('a claim that a server does after nobody has waited for it claims nothing', async () => {
    const { store } = await open()
    const { store: other } = await open()
    // Both know the server's clock.
    await Promise.all([store, other].map(each => each.claim('known', { ageMs: 0, windowMs: 5_000 })))
    redis.signal('SIGSTOP')
    await assert.rejects(store.claim('late', { ageMs: 0, windowMs: 5_000 }))
    redis.signal('SIGCONT')
    await until(
      () =>
        store.devices('bob').then(
          () => true,
          () => false,
        ),
      'the server to answer again',
    )
    // Of an event from before the server went on: only a claim of after it would cover that.
    const claim = await other.claim('late', { ageMs: 60_000, windowMs: 5_000 })
    assert.equal(claim.kind, 'granted')
  })

  test('a flood of one user over two processes costs few writes, and none of it is lost', async () => {
    const job = { uri: redis.uri, namespace: 'xaps', kind: 'register', user: 'flooded' } as const
    const start = (name: string) => startWorker({ ...job, name, count: 300, concurrency: 300 })
    const workers = await Promise.all([start('one'), start('other')])
    const commands = await redis.commandsDuring(async () => {
      for (const worker of workers) worker.go()
      await Promise.all(workers.map(({ ended }) => ended))
    })
    const done = workers.flatMap(worker => worker.done)
    assert.equal(done.length, 600)
    const { store } = await open()
    const stored = (await store.devices('flooded')).map(({ token }) => token)
    assert.deepEqual(stored.sort(), done.sort())
    const attempts = commands.filter(command => /"eval"/i.test(command))
    assert.ok(
      attempts.length > 0 && attempts.length <= 60,
      `${attempts.length} compare-and-sets for 600 changes`,
    )
  })

  test('rejects while the server is frozen, and works when it goes on', async () => {
    const { store } = await open()
    await store.update('alice', registering('aa'))
    redis.signal('SIGSTOP')
    try {
      await assertAllReject(store, /^Error: Redis at 127\.0\.0\.1:\d+: /)
    } finally {
      redis.signal('SIGCONT')
    }
    await until(() => store.devices('alice'), 'the store to work again')
    await until(() => Promise.all(everyOperation(store)), 'all of it to work again')
  })

  test('rejects with the cause while the server is away, logs that once, and works when it is back', async () => {
    const { store, lines } = await open()
    await store.update('bob', registering('aa'))
    await redis.kill()
    await untilRefused(store)
    for (let round = 0; round < 3; round++) await assertAllReject(store, /ECONNREFUSED/)
    await redis.start()
    const devices = await until(() => store.devices('bob'), 'the store to work again')
    assert.equal(devices.length, 1)
    assert.deepEqual(newsIn(lines), ['is away', 'is back'])
  })

  test('a server that comes and goes is said once, and then counted', async () => {
    const { store, lines } = await open()
    await store.update('frank', registering('aa'))
    for (let round = 0; round < 3; round++) {
      await redis.kill()
      await untilRefused(store)
      await redis.start()
      await until(() => store.devices('frank'), 'it to be back')
    }
    assert.deepEqual(newsIn(lines), ['is away', 'is back'])
  })

  test('starts while the server is away, and works by itself once it is there', async () => {
    await redis.kill()
    const { store } = await open()
    await assertAllReject(store, /ECONNREFUSED/)
    await redis.start()
    await until(() => store.update('carol', registering('aa')), 'the store to work')
  })

  test('has every acknowledged registration when the server is killed', async () => {
    const job = { uri: redis.uri, namespace: 'xaps', kind: 'register', name: 'w', user: 'dave' } as const
    const worker = await startWorker({ ...job, count: 1_000_000, concurrency: 4 })
    worker.go()
    await until(() => worker.done.length >= 50, 'the writer to have written')
    await redis.kill()
    await worker.ended
    await redis.start()
    const { store } = await open()
    const stored = new Set((await store.devices('dave')).map(device => device.token))
    assert.deepEqual(
      worker.done.filter(token => !stored.has(token)),
      [],
    )
  })

  test('replaces a connection whose other end has vanished without a word', async () => {
    const sockets: net.Socket[] = []
    const proxy = net.createServer(socket => {
      const target = net.connect(redis.port, '127.0.0.1')
      sockets.push(socket, target)
      for (const end of [socket, target]) end.on('error', () => end.destroy())
      socket.pipe(target).pipe(socket)
    })
    await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
    const { port } = proxy.address() as net.AddressInfo
    const { store } = await open(`redis://127.0.0.1:${port}`)
    await store.update('erin', registering('aa'))
    // From here on the first connection takes everything and answers nothing.
    for (const socket of sockets) socket.unpipe().resume()
    await assert.rejects(store.devices('erin'), /no answer within 300 ms/)
    const devices = await until(() => store.devices('erin'), 'a new connection')
    assert.equal(devices.length, 1)
    await store.close()
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })

  test('closes while the server is frozen, and rejects afterwards', async () => {
    const { store } = await open()
    redis.signal('SIGSTOP')
    try {
      const pending = assert.rejects(store.devices('alice'))
      await store.close()
      await pending
    } finally {
      redis.signal('SIGCONT')
    }
    await assert.rejects(store.devices('alice'), /closed/)
  })

  test('never shows the password of its URI', async () => {
    await redis.command('ACL', 'SETUSER', 'mail', 'on', '>right-secret', '~*', '+@all')
    const server = `127.0.0.1:${redis.port}`
    for (const uri of [`redis://mail:wrong-secret@${server}`, 'redis://mail:wrong-secret@127.0.0.1:1']) {
      const { store, lines } = await open(uri)
      await assert.rejects(store.devices('alice'), error => !/secret/.test(String((error as Error).stack)))
      assert.ok(lines.length > 0 && !JSON.stringify(lines).includes('secret'))
      await store.close()
    }
  })
})

describe('warnings of a device store on Redis', { skip }, () => {
  async function warningsOf(args: readonly string[], prepare?: (redis: Redis) => Promise<string>) {
    const redis = await startRedis({ appendOnly: false, args: [...args] })
    try {
      const uri = (await prepare?.(redis)) ?? redis.uri
      const { log } = recordingLog()
      const store = await openStore({ uri, namespace: 'x', expireAfterMs: 60_000, harakaDir: '/', log })
      await store.update('alice', registering('aa'))
      const ttl = Number(await redis.command('PTTL', 'x::device:alice'))
      assert.ok(ttl > 0 && ttl <= 60_000, `the key lives for ${ttl} ms`)
      const warnings = await store.warnings()
      await store.close()
      return warnings
    } finally {
      await redis.stop()
    }
  }

  for (const [name, args, expected] of [
    ['none when it keeps everything', ['--appendonly', 'yes'], /^$/],
    ['that it keeps nothing on disk', [], /^Redis at \S+ has appendonly no: [^,]*, [^,]*$/],
    [
      'that it drops keys when its memory is full',
      ['--appendonly', 'yes', '--maxmemory', '100mb', '--maxmemory-policy', 'volatile-lru'],
      /^Redis at \S+ has maxmemory-policy volatile-lru: /,
    ],
  ] as const) {
    test(name, async () => assert.match((await warningsOf(args)).join('|'), expected))
  }

  test('that it will not tell, to a user without dangerous commands, for whom all else works', async () => {
    const warnings = await warningsOf([], async redis => {
      await redis.command('ACL', 'SETUSER', 'mail', 'on', '>pass', '~x::*', '+@all', '-@dangerous')
      return `redis://mail:pass@127.0.0.1:${redis.port}`
    })
    assert.match(warnings.join(), /does not let this user see/)
  })
})

describe('a server that is no single Redis', { skip }, () => {
  const temp = tempDirectory()
  const servers: ServerProcess[] = []
  after(async () => {
    await Promise.all(servers.map(server => server.stop('SIGKILL')))
    temp.remove()
  })

  async function startNode(port: number): Promise<void> {
    const settings = { port, bind: '127.0.0.1', dir: temp.path, 'cluster-enabled': 'yes' }
    const cluster = { 'cluster-config-file': `nodes-${port}.conf`, 'cluster-port': await freePort() }
    const args = Object.entries({ ...settings, ...cluster })
    const words = args.flatMap(([name, value]) => [`--${name}`, String(value)])
    const server = startRedisProgram(words)
    servers.push(server)
    await server.waitForOutput(/Ready to accept connections/)
  }

  async function startSentinel(port: number): Promise<void> {
    const file = path.join(temp.path, 'sentinel.conf')
    writeFileSync(file, `port ${port}\nbind 127.0.0.1\ndir ${temp.path}\n`)
    const server = startRedisProgram([file, '--sentinel'])
    servers.push(server)
    await server.waitForOutput(/Sentinel ID is/)
  }

  const open = (uri: string) =>
    openStore({ uri, namespace: 'x', expireAfterMs: 60_000, harakaDir: '/', log: recordingLog().log })

  test('a node of a Redis Cluster and a sentinel are refused, with the URI to give instead', async () => {
    for (const [start, expected] of [
      [
        startNode,
        /^UnusableServer: Redis at \S+: it is a node of a Redis Cluster.*redis\+cluster:\/\/127\.0\.0\.1:\d+$/,
      ],
      [
        startSentinel,
        /^UnusableServer: Redis at \S+: it is a Redis Sentinel.*redis\+sentinel:\/\/127\.0\.0\.1:\d+\/MASTER$/,
      ],
    ] as const) {
      const port = await freePort()
      await start(port)
      await assert.rejects(open(`redis://127.0.0.1:${port}`), expected)
    }
  })

  test('one that turns out to be such later makes every call reject, saying so', async () => {
    const redis = await startRedis()
    const store = await open(redis.uri)
    try {
      await store.update('alice', registering('aa'))
      await redis.kill()
      await startNode(redis.port)
      const refused = () => assert.rejects(store.devices('alice'), /node of a Redis Cluster/).then(() => true)
      await until(refused, 'the node to be refused')
      await assert.rejects(store.update('alice', registering('bb')), /node of a Redis Cluster/)
    } finally {
      await store.close()
      await redis.stop()
    }
  })

  test('a user who may ask neither way is served', async () => {
    const redis = await startRedis()
    await redis.command('ACL', 'SETUSER', 'mail', 'on', '>pass', '~x::*', '+@all', '-hello', '-info')
    const store = await open(`redis://mail:pass@127.0.0.1:${redis.port}`)
    try {
      await store.update('alice', registering('aa'))
      assert.equal((await store.devices('alice')).length, 1)
    } finally {
      await store.close()
      await redis.stop()
    }
  })
})
