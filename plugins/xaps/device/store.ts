/** The interface of every device store, wherever it keeps its bytes. */

import type { Came, Device, GoneDevice, UserRecord } from './device.ts'

/**
 * The answer to "may I push this device now?"
 * - `granted`: yes, and `id` names the claim;
 * - `covered`: no need, a push that started at or after the event has been claimed;
 * - `wait`: the last push was before the event but less than a window ago; ask again in `ms`.
 */
export type Claim =
  | { readonly kind: 'granted'; readonly id: number }
  | { readonly kind: 'covered' }
  | { readonly kind: 'wait'; readonly ms: number }

export interface ClaimRequest {
  /** Milliseconds since the newest event that the push is for. A duration, so that hosts need not agree on the time. */
  readonly ageMs: number
  /** The least time between two pushes to one device, in milliseconds. */
  readonly windowMs: number
  /** The id of a claim that the asker still holds (its push has not got through yet): it does not count against itself. */
  readonly held?: number
}

/** The server that is named can never be a store, whatever is waited for. */
export class UnusableServer extends Error {
  override name = 'UnusableServer'
}

/** There is no store yet, and none was to be made. */
export class NoStoreYet extends Error {
  override name = 'NoStoreYet'
}

/**
 * Every method rejects with an Error when the store cannot answer; an empty list always means "no devices".
 * `user` is a canonical user name of at most 255 bytes.
 */
export interface DeviceStore {
  /** The devices of a user that have been seen within the expiry time. One lookup. */
  devices(user: string): Promise<readonly Device[]>
  /** When a push has last brought a phone of a user with devices; undefined where that is not known. One lookup. */
  came(user: string): Promise<Came | undefined>
  /** The devices of a user that Apple has reported gone within the expiry time, and that have not registered since. One lookup. */
  gone(user: string): Promise<readonly GoneDevice[]>
  /**
   * Changes one user's record atomically over all processes and hosts. `change` must be pure: it may run again.
   * It gets the record without its expired entries. Returning the very record it got changes nothing else.
   * Resolves with the new record once it is safely stored (LMDB: on disk). After a rejection because of time the
   * change may still happen. A damaged record counts as an empty one here, and is replaced.
   */
  update(user: string, change: (record: UserRecord) => UserRecord): Promise<UserRecord>
  /** Claims the next push to a device. `push` names the device: its account id and token. */
  claim(push: string, request: ClaimRequest): Promise<Claim>
  /**
   * Milliseconds since the last push to any device of a user was claimed; undefined where that was more than ten minutes
   * ago (LEAST_KEPT_MS).
   */
  lastPush(user: string): Promise<number | undefined>
  /**
   * Every user that has devices, in no order, with what came() gives; bounded memory. A user that changes meanwhile may come or not, and a
   * Redis that shrinks its table meanwhile may give a user twice. Damaged records are passed over, and it rejects in
   * the end.
   */
  users(): AsyncIterable<readonly [user: string, devices: readonly Device[], came?: Came | undefined]>
  /** Removes expired entries; resolves with the number of devices among them. `visit` gets the others of each user. */
  sweep(visit?: (devices: readonly Device[]) => void): Promise<number>
  /**
   * Opens the store, and tells what an operator should know of it (a Redis that keeps nothing on disk), one sentence
   * each.
   */
  warnings(): Promise<readonly string[]>
  /** Calls `listener` whenever the store answers again, and may call it when it was never away. */
  onReady(listener: () => void): void
  close(): Promise<void>
}
