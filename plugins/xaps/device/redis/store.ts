/**
 * The device store in a Redis server, for any number of hosts. Each operation touches one key.
 */

import { reasonOf } from '../../base/log.ts'
import { keptMs } from '../claim.ts'
import { encodeRecord, fullKey, pushKey, type Stored, storedIn, USER_PREFIX } from '../codec.ts'
import { type Change, type CompareAndSet, compareAndSetOver, type Entries } from '../compare-and-set.ts'
import type { UserRecord } from '../device.ts'
import { type Batch, KeyedStore } from '../keyed-store.ts'
import type { Claim, ClaimRequest } from '../store.ts'
import type { Client } from './client.ts'
import { RedisConnection, type RedisOptions } from './connection.ts'

const BATCH = 1_000

/** Writes ARGV[2] for ARGV[1] if that is there still; '' stands for no key. Answers 1, or 0 for "changed". */
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

/** While the server is away, the operations reject; it is connected to again by itself. */
export class RedisStore extends KeyedStore<RedisOptions> {
  readonly #connection = new RedisConnection(this.options)
  #compareAndSet: CompareAndSet<Stored> | undefined

  async claim(push: string, request: ClaimRequest): Promise<Claim> {
    const { ageMs, windowMs, held } = request
    const args = [ageMs, windowMs, held ?? '', Math.ceil(keptMs(request))]
    const key = fullKey(this.options.namespace, pushKey(push))
    return claimOf(await this.#connection.call(client => run(client, CLAIM, key, args)))
  }

  async warnings(): Promise<readonly string[]> {
    const { server } = this.#connection
    try {
      return warningsOf(server, await this.#connection.call(({ redis }) => redis.info()))
    } catch (error) {
      if (!reasonOf(error).includes('NOPERM')) throw error
      return [
        `${server} does not let this user see whether it keeps data on disk: it should have appendonly yes`,
      ]
    }
  }

  onReady(listener: () => void): void {
    this.#connection.onReady(listener)
  }

  async close(): Promise<void> {
    this.#connection.close()
  }

  protected read(key: string): Promise<UserRecord | undefined> {
    return this.#connection.call(({ keyv }) => keyv.get(key))
  }

  protected change(key: string, change: Change<Stored>): Promise<void> {
    return this.#connection.call(client => {
      this.#compareAndSet ??= compareAndSetOver(entriesIn(client, this.options))
      return this.#compareAndSet(key, change, Date.now() + this.#connection.deadlineMs)
    })
  }

  protected async *batches(): AsyncGenerator<Batch> {
    const root = fullKey(this.options.namespace, '')
    const match = `${(root + USER_PREFIX).replace(/[*?[\]^\\]/g, '\\$&')}*`
    let cursor = '0'
    do {
      const scan = { MATCH: match, COUNT: BATCH }
      const page = await this.#connection.call(({ redis }) => redis.scan(cursor, scan))
      cursor = String(page.cursor)
      const keys = page.keys.map(key => key.slice(root.length))
      const found = await this.#connection.call(({ texts }) => texts(keys))
      yield keys.map((key, index) => [key, found[index]] as const)
    } while (cursor !== '0')
  }
}

function run({ redis }: Client, script: string, key: string, args: readonly (string | number)[]) {
  return redis.eval(script, { keys: [key], arguments: args.map(String) })
}

/**
 * The records in a server as entries. The text is its own version: when the same is there again, nothing has been
 * missed.
 */
function entriesIn(client: Client, options: RedisOptions): Entries<Stored, string> {
  const { namespace } = options
  return {
    async load(key) {
      const [text] = await client.texts([key])
      return { value: storedIn(text), version: text ?? '' }
    },
    async replace(key, version, stored) {
      const args = [version, encodeRecord(stored) ?? '', Math.ceil(options.expireAfterMs)]
      return (await run(client, COMPARE_AND_SET, fullKey(namespace, key), args)) === 1
    },
  }
}

function claimOf(answer: unknown): Claim {
  const [kind, number] = answer as [number, number]
  if (kind === 0) return { kind: 'covered' }
  return kind === 1 ? { kind: 'wait', ms: number } : { kind: 'granted', id: number }
}

/** The ways in which the server may lose data, by its INFO. */
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
