/** A private redis-server in a temporary directory, which keeps what it is told on disk as an operator would. */

import net from 'node:net'
import { createClient } from '@keyv/redis'
import { parseStoreUri, type RedisPlace } from '../../plugins/xaps/base/store-uri.ts'
import { find, missing } from './need.ts'
import { freePort, type ServerProcess, startServer } from './server.ts'
import { tempDirectory } from './temp.ts'
import { until } from './wait.ts'

export interface RedisOptions {
  /** Write every command to disk before it is answered. Default: true. */
  readonly appendOnly?: boolean
  /** More arguments, as redis-server takes them. */
  readonly args?: readonly string[]
}

export interface Redis {
  readonly uri: string
  readonly port: number
  /** Ends the server by SIGKILL; its files stay. */
  kill(): Promise<unknown>
  /** SIGSTOP freezes it, SIGCONT lets it go on. */
  signal(signal: NodeJS.Signals): void
  /** One command as an administrator would type it, such as `command('SET', 'key', 'value')`. */
  command(...words: string[]): Promise<unknown>
  /** Starts it again on the same port, with what it had on disk. */
  start(): Promise<void>
  /** The commands that the server was sent while `work` ran, one line each, as MONITOR shows them. */
  commandsDuring(work: () => Promise<void>): Promise<string[]>
  stop(): Promise<void>
}

/** The program: the machine's redis-server, or the one that XAPS_TEST_REDIS names, such as valkey-server. */
const PROGRAM = process.env.XAPS_TEST_REDIS ?? 'redis-server'

/** For a test's `skip`. */
export function missingRedis(): string | false {
  return missing(PROGRAM)
}

/** Starts the program with these arguments, for tests that want more than `startRedis`. */
export function startRedisProgram(args: readonly string[]): ServerProcess {
  return startServer(find(PROGRAM) ?? PROGRAM, args)
}

/** Where a RedisStore is, by its URI. */
export function placeOf(uri: string): RedisPlace {
  const place = parseStoreUri(uri)
  if (place?.kind !== 'redis') throw new Error(`${uri} is no URI of a Redis`)
  return place
}

/** Starts one and resolves when it accepts connections. */
export async function startRedis({ appendOnly = true, args = [] }: RedisOptions = {}): Promise<Redis> {
  const temp = tempDirectory('xaps-redis-')
  const port = await freePort()
  const settings = {
    port,
    bind: '127.0.0.1',
    dir: temp.path,
    save: '',
    appendonly: appendOnly ? 'yes' : 'no',
    appendfsync: 'always',
  }
  const words = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  let server: ServerProcess | undefined
  const start = async () => {
    server = startRedisProgram([...words, ...args])
    await server.waitForOutput(/Ready to accept connections/)
  }
  const signal = (name: NodeJS.Signals) => {
    if (server?.running()) process.kill(server.pid, name)
  }
  await start()
  const uri = `redis://127.0.0.1:${port}`
  return {
    uri,
    port,
    start,
    signal,
    command: (...words) => command(uri, words),
    kill: async () => server?.end('SIGKILL'),
    commandsDuring: work => commandsDuring(port, work),
    stop: async () => {
      signal('SIGCONT')
      await server?.stop('SIGKILL').finally(temp.remove)
    },
  }
}

/** One command to the server at `url`. */
export async function command(url: string, words: readonly string[]): Promise<unknown> {
  const client = createClient({ url })
  await client.connect()
  try {
    return await client.sendCommand([...words])
  } finally {
    client.destroy()
  }
}

async function commandsDuring(port: number, work: () => Promise<void>): Promise<string[]> {
  let seen = ''
  const socket = net.connect(port, '127.0.0.1', () => socket.write('MONITOR\r\n'))
  socket.setEncoding('utf8').on('data', chunk => {
    seen += chunk
  })
  try {
    await until(() => seen.startsWith('+OK'), 'MONITOR to begin')
    await work()
    return seen.split('\r\n').slice(1, -1)
  } finally {
    socket.destroy()
  }
}
