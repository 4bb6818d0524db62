/** A private redis-server in a temporary directory, which keeps what it is told on disk as an operator would. */

import { find, missing } from './need.ts'
import { freePort, type ServerProcess, startServer } from './server.ts'
import { tempDirectory } from './temp.ts'

export interface RedisOptions {
  /** Write every command to disk before it is answered. Default: true. */
  readonly appendOnly?: boolean
}

export interface Redis {
  readonly uri: string
  readonly port: number
  /** Ends the server by SIGKILL; its files stay. */
  kill(): Promise<void>
  /** Starts it again on the same port, with what it had on disk. */
  start(): Promise<void>
  stop(): Promise<void>
}

/** For a test's `skip`. */
export function missingRedis(): string | false {
  return missing('redis-server')
}

/** Starts one and resolves when it accepts connections. */
export async function startRedis({ appendOnly = true }: RedisOptions = {}): Promise<Redis> {
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
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  let server: ServerProcess | undefined
  const start = async () => {
    server = startServer(find('redis-server') ?? 'redis-server', args)
    await server.waitForOutput(/Ready to accept connections/)
  }
  await start()
  return {
    uri: `redis://127.0.0.1:${port}`,
    port,
    start,
    kill: async () => server?.end('SIGKILL'),
    stop: async () => {
      await server?.stop('SIGKILL').finally(temp.remove)
    },
  }
}
