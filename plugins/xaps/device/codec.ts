/**
 * A user's record as the store keeps it: the key, and the text `{"value":{"devices":[…],"gone":[…]}}`, which is the
 * form that Keyv 5 and 6 write and read. Without Keyv's own `expires`: its get deletes an expired value, and would
 * delete with it a registration that has just been written.
 */

import { Keyv, type KeyvOptions } from 'keyv'
import { MAX_USER_BYTES } from '../base/limits.ts'
import type { Entries } from './compare-and-set.ts'
import { type Device, EMPTY_RECORD, type GoneDevice, type UserRecord } from './device.ts'

/** What the keys of users' records start with. */
export const USER_PREFIX = 'device:'
const PUSH_PREFIX = 'claim:'

/** Account id (128 bytes at most) and token (200) with room to spare; LMDB takes keys up to 1978 bytes. */
const MAX_PUSH_BYTES = 1024

/** A stored value that is not what this project writes. The message never quotes it: it may hold tokens. */
export class DamagedRecord extends Error {
  override name = 'DamagedRecord'
}

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

/** Half a surrogate pair becomes U+FFFD in UTF-8: two names would share one key. */
const UNFIT = /[\0\p{Surrogate}]/u

function keyOf(prefix: string, name: string, maxBytes: number, what: string): string {
  if (name === '' || Buffer.byteLength(name) > maxBytes || UNFIT.test(name)) {
    throw new RangeError(`${what} must be 1 to ${maxBytes} bytes of proper Unicode without NUL`)
  }
  return prefix + name
}

/** The text to store for a record; undefined for one with nothing in it, which needs no key. */
export function encodeRecord(record: UserRecord): string | undefined {
  if (record.devices.length === 0 && record.gone.length === 0) return undefined
  return JSON.stringify({ value: record })
}

/** The record in a stored text. Throws DamagedRecord. */
export function decodeRecord(text: string): UserRecord {
  const outer = parseJson(text)
  const record = isObject(outer) ? outer.value : undefined
  if (!isObject(record) || !isListOf(isDevice, record.devices) || !isListOf(isGone, record.gone)) {
    throw new DamagedRecord('it is not a list of devices')
  }
  return { devices: record.devices, gone: record.gone }
}

/** What is under a key: the record (an empty one where there is no key), or why it cannot be read. */
export type Stored = UserRecord | DamagedRecord

export function storedIn(text: string | undefined): Stored {
  try {
    return text === undefined ? EMPTY_RECORD : decodeRecord(text)
  } catch (error) {
    if (error instanceof DamagedRecord) return error
    throw error
  }
}

/** Entries of texts as entries of records, so that changes made together cost one decoding and one encoding. */
export function recordEntries<Version>({
  load,
  replace,
}: Entries<string | undefined, Version>): Entries<Stored, Version> {
  return {
    async load(key) {
      const { value, version } = await load(key)
      return { value: storedIn(value), version }
    },
    async replace(key, version, stored) {
      if (stored instanceof DamagedRecord) throw stored
      return replace(key, version, encodeRecord(stored))
    },
  }
}

/**
 * Users' records by Keyv, over a storage adapter that prefixes the keys itself: Keyv would put the namespace before them
 * twice. `get` rejects when the adapter does, and with DamagedRecord: Keyv alone takes a stored `null` for no value.
 */
export function keyvOver(store: KeyvOptions['store'], namespace: string): Keyv<UserRecord> {
  const deserialize = (text: string) => ({ value: decodeRecord(text) })
  return new Keyv<UserRecord>({
    store,
    namespace,
    useKeyPrefix: false,
    throwOnErrors: true,
    // Failures reject; an 'error' event without a listener would throw as well.
    emitErrors: false,
    serialize: JSON.stringify,
    deserialize: deserialize as NonNullable<KeyvOptions['deserialize']>,
  })
}

/** The engine's own message would quote what it found. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new DamagedRecord('it is not JSON')
  }
}

function isDevice(value: unknown): value is Device {
  return (
    isObject(value) &&
    isString(value.account) &&
    isString(value.token) &&
    isListOf(isString, value.mailboxes) &&
    isString(value.subtopic) &&
    isString(value.topic) &&
    isTime(value.registeredAt) &&
    isTime(value.lastSeen)
  )
}

function isGone(value: unknown): value is GoneDevice {
  return isObject(value) && isString(value.account) && isString(value.token) && isTime(value.at)
}

function isListOf<T>(isItem: (value: unknown) => value is T, value: unknown): value is T[] {
  return Array.isArray(value) && value.every(isItem)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function isString(value: unknown): value is string {
  return typeof value === 'string'
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}
