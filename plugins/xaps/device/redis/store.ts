/**
 * The device store in a Redis server, for any number of hosts. Each operation touches one key.
 */

import { reasonOf } from '../../base/log.ts'
import { keptMs } from '../claim.ts'
import { recordEntries } from '../codec.ts'
import { compareAndSetOver } from '../compare-and-set.ts'
import { type Backend, type KeyedStoreOptions, keyedStore } from '../keyv-store.ts'
import type { Claim, DeviceStore } from '../store.ts'
import { connectRedis, type RedisConnection } from './connection.ts'

export interface RedisStoreOptions extends KeyedStoreOptions {
  readonly uri: string
  readonly namespace: string
  /** How long an operation may take before it rejects, in milliseconds. */
  readonly deadlineMs?: number
}

const BATCH = 1_000

/** Writes ARGV[2] for ARGV[1] if that is what is there still; '' stands for no key. Answers 1, or 0 for "changed". */
const COMPARE_AND_SET = `
local current = redis.call('GET', KEYS[1]) or ''
if current ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1`

/**
 * decideClaim of claim.ts by the server's clock, so that hosts need not agree on the time.
 * ARGV: age, window, held (or ''), time to keep, all in milliseconds. Answers {kind, number}.
 */
const CLAIM = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(redis.call('GET', KEYS[1]) or '')
if last and last <= now and last ~= tonumber(ARGV[3]) then
  if last >= now - ARGV[1] then return {0, 0} end
  if last + ARGV[2] > now then return {1, math.ceil(last + ARGV[2] - now)} end
end
redis.call('SET', KEYS[1], string.format('%.0f', now), 'PX', ARGV[4])
return {2, now}`

/**
 * Opens the store. Rejects when the server is a node of a Redis Cluster or a sentinel; while it is away the operations
 * reject, not this.
 */
export async function openRedisStore(options: RedisStoreOptions): Promise<DeviceStore> {
  return keyedStore(redisBackend(await connectRedis(options), options), options)
}

function redisBackend(connection: RedisConnection, options: RedisStoreOptions): Backend {
  const { server, keyv, client, fullKey, texts, deadlineMs, call } = connection
  const { expireAfterMs } = options

  const run = (script: string, key: string, args: readonly (string | number)[]) =>
    client.eval(script, { keys: [fullKey(key)], arguments: args.map(String) })

  // The text is its own version: when the same text is there again, nothing has been missed.
  const entries = recordEntries<string>({
    async load(key) {
      const [text] = await texts([key])
      return { value: text, version: text ?? '' }
    },
    async replace(key, version, text) {
      return (await run(COMPARE_AND_SET, key, [version, text ?? '', Math.ceil(expireAfterMs)])) === 1
    },
  })
  const compareAndSet = compareAndSetOver(entries)

  return {
    read: key => call(() => keyv.get(key)),

    change: (key, change) => call(() => compareAndSet(key, change, Date.now() + deadlineMs)),

    async *batches(prefix) {
      const full = fullKey('')
      const match = `${(full + prefix).replace(/[*?[\]^\\]/g, '\\$&')}*`
      let cursor = '0'
      do {
        const page = await call(() => client.scan(cursor, { MATCH: match, COUNT: BATCH }))
        cursor = String(page.cursor)
        const keys = page.keys.map(key => key.slice(full.length))
        const found = await call(() => texts(keys))
        yield keys.flatMap((key, index) => pair(key, found[index]))
      } while (cursor !== '0')
    },

    async claim(key, request) {
      const { ageMs, windowMs, held } = request
      const args = [ageMs, windowMs, held ?? '', Math.ceil(keptMs(request))]
      return claimOf(await call(() => run(CLAIM, key, args)))
    },

    // The server itself drops keys that have expired.
    tidy: async () => undefined,

    async warnings() {
      try {
        return warningsOf(server, await call(() => client.info()))
      } catch (error) {
        if (!reasonOf(error).includes('NOPERM')) throw error
        return [
          `${server} does not let this user see whether it keeps data on disk: it should have appendonly yes`,
        ]
      }
    },

    onReady(listener) {
      client.on('ready', listener)
    },

    close: () => connection.close(),
  }
}

/** A key may have gone between SCAN and MGET. */
function pair(key: string, text: string | undefined): Array<readonly [string, string]> {
  return text === undefined ? [] : [[key, text] as const]
}

function claimOf(answer: unknown): Claim {
  const [kind, number] = answer as [number, number]
  if (kind === 0) return { kind: 'covered' }
  return kind === 1 ? { kind: 'wait', ms: number } : { kind: 'granted', id: number }
}

/** What the server's INFO says about losing data. */
function warningsOf(server: string, info: string): string[] {
  const value = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1]
  const warnings: string[] = []
  if (value('aof_enabled') === '0') {
    warnings.push(`${server} has appendonly no: when it dies, registrations since its last snapshot are lost`)
  }
  const policy = value('maxmemory_policy')
  if (value('maxmemory') !== '0' && policy !== undefined && policy !== 'noeviction') {
    warnings.push(`${server} has maxmemory-policy ${policy}: when its memory is full, it drops devices`)
  }
  return warnings
}
