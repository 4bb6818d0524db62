/** What the store needs of a client, whatever it is connected to. */

import type { RedisClientType, RedisClusterType } from '@keyv/redis'
import type { Keyv } from 'keyv'
import type { UserRecord } from '../device.ts'

/** What a client tells while it is there. */
export interface News {
  /** It has no connection any more, and makes none again. */
  ended(error?: unknown): void
  /** A part of the keys is away. */
  partlyAway(error: unknown): void
  /** All of them are there again. */
  complete(): void
}

export interface Client {
  /** node-redis's own. */
  readonly redis: Pick<RedisClientType | RedisClusterType, 'eval'>
  readonly keyv: Keyv<UserRecord>
  /** Another server takes the place of one that dies. */
  readonly hasSuccessors: boolean
  /** Rejects where there is no server of use, and with UnusableServer for one that can never be a store. */
  connect(): Promise<void>
  destroy(): void
  /** The texts under keys without namespace, undefined for those not there. */
  texts(keys: string[]): Promise<ReadonlyArray<string | undefined>>
  /** The server that has the data under a full key. */
  serverOf(key: string): Promise<RedisClientType>
  /** All servers that have data. */
  servers(): Promise<readonly RedisClientType[]>
  /** A call was not answered in time; `silent`: nor was any other. */
  unanswered(silent: boolean): void
}
