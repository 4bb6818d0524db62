/**
 * The device store in Redis, for any number of hosts. Each operation touches one key, so that it works in a cluster.
 */

import type { RedisClientType } from '@keyv/redis'
import { reasonOf } from '../../base/log.ts'
import { addressOf, type Server } from '../../base/store-uri.ts'
import { keptMs } from '../claim.ts'
import { encodeRecord, fullKey, pushKey, type Stored, storedIn, USER_PREFIX } from '../codec.ts'
import { type Change, compareAndSetOver, type Entries } from '../compare-and-set.ts'
import type { UserRecord } from '../device.ts'
import { type Batch, KeyedStore } from '../keyed-store.ts'
import type { Claim, ClaimRequest } from '../store.ts'
import type { Client } from './client.ts'
import { RedisConnection } from './connection.ts'
import type { RedisOptions } from './options.ts'
import { onlineReplicas, untilReplicated } from './replicas.ts'

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
 * ARGV: age, window, held (or ''), time to keep, all in milliseconds, and the server's time from when on nobody waits for the
 * answer. Answers {kind, number, the server's time}.
 *
 * A claim that is late claims nothing: its push has been made without it, before, and events in between would count as
 * covered. A server that was stopped does what it finds in its connections' buffers, whether they are closed or not.
 */
const CLAIM = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[5]) then return {3, 0, now} end
local last = tonumber(redis.call('GET', KEYS[1]) or '')
if last and last <= now and last ~= tonumber(ARGV[3]) then
  if last >= now - ARGV[1] then return {0, 0, now} end
  if last + ARGV[2] > now then return {1, math.ceil(last + ARGV[2] - now), now} end
end
redis.call('SET', KEYS[1], string.format('%.0f', now), 'PX', ARGV[4])
return {2, now, now}`

/** How long ago the last claim was, in milliseconds by the server's clock; -1 where none is remembered. */
const LAST_CLAIM = `
local last = tonumber(redis.call('GET', KEYS[1]) or '')
local time = redis.call('TIME')
return last and time[1] * 1000 + math.floor(time[2] / 1000) - last or -1`

/** While the server is away, the operations reject; it is connected to again by itself. */
export class RedisStore extends KeyedStore<RedisOptions> {
  readonly #connection = new RedisConnection(this.options)
  /** Keys whose last change may be in their server alone: it counts as made when it has been written again. */
  readonly #unconfirmed = new Set<string>()
  /**
   * How far the server's clock is ahead of this process's, which no one sets, in milliseconds; no further than it is in truth,
   * since it was read while its answer was on the way. Before the first answer no time is too early.
   */
  #aheadMs = -Number.MAX_SAFE_INTEGER
  readonly #compareAndSet = compareAndSetOver(entriesIn(this.#connection, this.options, this.#unconfirmed))

  async claim(push: string, request: ClaimRequest): Promise<Claim> {
    const claim = (await this.#askClaim(push, request)) ?? (await this.#askClaim(push, request))
    if (!claim) throw new Error('the claim came too late')
    return claim
  }

  /** Undefined where it came late, or the server's clock is not known or was set: then it is known now. */
  async #askClaim(push: string, request: ClaimRequest): Promise<Claim | undefined> {
    const { ageMs, windowMs, held } = request
    const args = [ageMs, windowMs, held ?? '', Math.ceil(keptMs(request))]
    const key = fullKey(this.options.namespace, pushKey(push))
    const answer = await this.#connection.call(client => {
      const until = Math.floor(performance.now() + this.#aheadMs + this.#connection.deadlineMs)
      return run(client, CLAIM, key, [...args, until])
    })
    const [kind, number, serverMs] = answer as [number, number, number]
    this.#aheadMs = serverMs - performance.now()
    return claimOf(kind, number)
  }

  protected async lastClaim(push: string): Promise<number | undefined> {
    const key = fullKey(this.options.namespace, pushKey(push))
    const ms = await this.#connection.call(client => run(client, LAST_CLAIM, key, []))
    return Number(ms) < 0 ? undefined : Number(ms)
  }

  async warnings(): Promise<readonly string[]> {
    const { place, ca, certificate, key } = this.options
    const found = await this.#connection.call(async client => {
      const all = (await client.servers()).map(server => warningsOf(server, client.hasSuccessors))
      return (await Promise.all(all)).flat()
    })
    if (place.tls || !(ca || certificate || key)) return found
    return ['[store] ca, certificate and key have no effect: the URI begins with redis, not rediss', ...found]
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
    const until = Date.now() + this.#connection.deadlineMs
    // A copy is written, although nothing is new in it.
    const again: Change<Stored> = stored => ({ ...(change(stored) as UserRecord) })
    const made = this.#unconfirmed.has(key) ? again : change
    return this.#connection.call(() => this.#compareAndSet(key, made, until))
  }

  protected async *batches(): AsyncGenerator<Batch> {
    for (const server of await this.#connection.call(client => client.servers()))
      yield* this.#batchesOf(server)
  }

  async *#batchesOf(server: RedisClientType): AsyncGenerator<Batch> {
    const root = fullKey(this.options.namespace, '')
    const match = `${(root + USER_PREFIX).replace(/[*?[\]^\\]/g, '\\$&')}*`
    let cursor = '0'
    do {
      const page = await this.#connection.call(() => server.scan(cursor, { MATCH: match, COUNT: BATCH }))
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
function entriesIn(
  connection: RedisConnection,
  options: RedisOptions,
  unconfirmed: Set<string>,
): Entries<Stored, string> {
  const { namespace } = options
  return {
    async load(key) {
      const [text] = await connection.client.texts([key])
      return { value: storedIn(text), version: text ?? '' }
    },
    async replace(key, version, stored) {
      const { client } = connection
      const full = fullKey(namespace, key)
      const args = [version, encodeRecord(stored) ?? '', Math.ceil(options.expireAfterMs)]
      const write = async () => (await run(client, COMPARE_AND_SET, full, args)) === 1
      if (!client.hasSuccessors) return write()
      unconfirmed.add(key)
      if (!(await confirmed(client, full, write))) return false
      unconfirmed.delete(key)
      return true
    },
  }
}

/** Resolves as `write` does, and once what it has written under the full key `key` would outlive its server. */
async function confirmed(client: Client, key: string, write: () => Promise<boolean>): Promise<boolean> {
  const server = await client.serverOf(key)
  if (!(await write())) return false
  if ((await client.serverOf(key)) !== server) throw new Error('its key moved to another server meanwhile')
  await untilReplicated(server)
  return true
}

function claimOf(kind: number, number: number): Claim | undefined {
  if (kind === 0) return { kind: 'covered' }
  if (kind === 1) return { kind: 'wait', ms: number }
  return kind === 2 ? { kind: 'granted', id: number } : undefined
}

/** The ways in which a server may lose data. Rejects when the user lacks a right that changes need. */
async function warningsOf(server: RedisClientType, hasSuccessors: boolean): Promise<string[]> {
  const { host, port } = server.options.socket as Server
  const name = `Redis at ${addressOf({ host, port })}`
  try {
    const info = await server.info()
    if (!hasSuccessors) return lossesOf(name, info)
    // Asks for nothing but the right.
    await server.wait(0, 0)
    return [...lossesOf(name, info), ...withoutReplica(name, info)]
  } catch (error) {
    if (hasSuccessors || !reasonOf(error).includes('NOPERM')) throw error
    return [`${name} does not let this user see whether it keeps data on disk: it should have appendonly yes`]
  }
}

function withoutReplica(name: string, info: string): string[] {
  if (onlineReplicas(info) > 0) return []
  return [`${name} has no replica online: until it has one, nothing takes its place when it dies`]
}

function lossesOf(name: string, info: string): string[] {
  const value = (key: string) => new RegExp(`^${key}:(.*?)\\r?$`, 'm').exec(info)?.[1]
  const warnings: string[] = []
  if (value('aof_enabled') === '0') {
    warnings.push(`${name} has appendonly no: when it dies, registrations since its last snapshot are lost`)
  }
  const policy = value('maxmemory_policy')
  if (value('maxmemory') !== '0' && policy !== undefined && policy !== 'noeviction') {
    warnings.push(`${name} has maxmemory-policy ${policy}: when its memory is full, it drops devices`)
  }
  return warnings
}
