/**
 * A user's record as the store keeps it: the key, and the text `{"value":{"devices":[…],"gone":[…],"came":{…}}}`, which is
 * the form that Keyv 5 and 6 write and read. `came` may be missing; a version that does not know it leaves it out. Without
 * Keyv's own `expires`: its get deletes an expired value, and would delete with it a registration that has just been
 * written.
 */

import { MAX_USER_BYTES } from '../base/limits.ts'
import { EMPTY_RECORD, type UserRecord } from './device.ts'

/** The keys of users' records start with the one, those of claims with the other. */
export const USER_PREFIX = 'device:'
const PUSH_PREFIX = 'claim:'

/** Account id (128 bytes at most) and token (200) with room to spare; LMDB takes keys up to 1978 bytes. */
const MAX_PUSH_BYTES = 1024

/** A stored value that this project does not write. The message never quotes it: it may hold tokens. */
export class DamagedRecord extends Error {
  override name = 'DamagedRecord'
}

/** A name that is no user's, or no push's. */
class ImpossibleName extends RangeError {}

/** Whether a store that fails so does answer, and has nothing for this one user. */
export function isOfOneUser(error: unknown): boolean {
  return error instanceof DamagedRecord || error instanceof ImpossibleName
}

/** The value under a key: the record (an empty one where there is no key), or why it cannot be read. */
export type Stored = UserRecord | DamagedRecord

/** The key of a user's record. Throws when the name is empty, over 255 bytes, or has NUL or half a surrogate pair. */
export function userKey(user: string): string {
  return keyOf(USER_PREFIX, user, MAX_USER_BYTES, 'user name')
}

/** The user that a key made by userKey belongs to. */
export function userOf(key: string): string {
  return key.slice(USER_PREFIX.length)
}

/** The key that the pushes to one device are claimed under; never equal to any user's. */
export function pushKey(push: string): string {
  return keyOf(PUSH_PREFIX, push, MAX_PUSH_BYTES, 'name of a push')
}

/** The key as it is stored; with an empty `key`, the start of all keys of the namespace. */
export function fullKey(namespace: string, key: string): string {
  return `${namespace}::${key}`
}

/** Half a surrogate pair becomes U+FFFD in UTF-8: two names would share one key. */
const UNFIT = /[\0\p{Surrogate}]/u

function keyOf(prefix: string, name: string, maxBytes: number, what: string): string {
  if (name === '' || Buffer.byteLength(name) > maxBytes || UNFIT.test(name)) {
    throw new ImpossibleName(`${what} must be 1 to ${maxBytes} bytes of proper Unicode without NUL`)
  }
  return prefix + name
}

/** The text to store for a record; undefined for one with nothing in it, which needs no key. Throws a DamagedRecord. */
export function encodeRecord(stored: Stored): string | undefined {
  if (stored instanceof DamagedRecord) throw stored
  if (stored.devices.length === 0 && stored.gone.length === 0) return undefined
  return JSON.stringify({ value: stored })
}

/** The record in a stored text. Throws DamagedRecord. */
export function decodeRecord(text: string): UserRecord {
  const { value } = parseJson(text)
  if (!isRecord(value)) throw new DamagedRecord('it is not a list of devices')
  const { devices, gone, came } = value as UserRecord
  return came && isCame(came) ? { devices, gone, came } : { devices, gone }
}

/** The value under a key with this text, or without one. */
export function storedIn(text: string | undefined): Stored {
  try {
    return text === undefined ? EMPTY_RECORD : decodeRecord(text)
  } catch (error) {
    if (error instanceof DamagedRecord) return error
    throw error
  }
}

/** The engine's own message would quote the text. */
function parseJson(text: string): { readonly value?: unknown } {
  try {
    return JSON.parse(text) ?? {}
  } catch {
    throw new DamagedRecord('it is not JSON')
  }
}

type Check = (value: unknown) => boolean

/** In milliseconds, as a Date can have it. */
const isTime: Check = value => typeof value === 'number' && Math.abs(value) <= 8.64e15

export const isText: Check = value => typeof value === 'string'

export const listOf =
  (isItem: Check): Check =>
  value =>
    Array.isArray(value) && value.every(isItem)

/** An object that has these fields at least. */
export function shaped(fields: Readonly<Record<string, Check>>): Check {
  const checks = Object.entries(fields)
  return value => {
    if (typeof value !== 'object' || value === null) return false
    for (const [name, isFit] of checks) if (!isFit((value as Record<string, unknown>)[name])) return false
    return true
  }
}

const isRecord = shaped({
  devices: listOf(
    shaped({
      account: isText,
      token: isText,
      mailboxes: listOf(isText),
      subtopic: isText,
      topic: isText,
      registeredAt: Number.isFinite,
      lastSeen: Number.isFinite,
    }),
  ),
  gone: listOf(shaped({ account: isText, token: isText, at: Number.isFinite })),
})

/** Devices matter more: one that cannot be read counts as none, and does not damage the record. */
const isCame = shaped({ at: isTime, afterMs: value => value === undefined || isTime(value) })
