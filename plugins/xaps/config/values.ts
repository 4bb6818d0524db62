/**
 * The kinds of value that a key of xaps.ini can have: each reads the text of the file into what the code works
 * with, or throws a sentence that says what was expected. Knows no key by name.
 */

import { groupId, userId } from '../base/accounts.ts'
import { parseStoreUri, parseTcpAddress, STORE_URIS } from '../base/addresses.ts'
import { reasonOf } from '../base/log.ts'

/** Reads the text after `key =`. Throws an Error whose message completes "expected …". */
export type Reader<T> = (text: string) => T

export function expected(what: string): Error {
  return new Error(what)
}

export const text: Reader<string> = value => value

export const flag: Reader<boolean> = value => {
  if (/^(true|yes|ok|enabled|on|1)$/i.test(value)) return true
  if (/^(false|no|disabled|off|0)$/i.test(value)) return false
  throw expected('true or false')
}

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number): Reader<number> {
  return value => {
    const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
    if (number >= min && number <= max) return number
    throw expected(`a whole number from ${min} to ${max}`)
  }
}

/** Seconds in the file (a fraction is fine, a trailing `s` too), milliseconds in the code. */
export function seconds(min: number, max: number): Reader<number> {
  return value => {
    const match = /^(\d{1,9}(?:\.\d{1,3})?)\s*s?$/.exec(value)
    const number = Number(match?.[1] ?? Number.NaN)
    if (number >= min && number <= max) return Math.round(number * 1000)
    throw expected(`seconds, from ${min} to ${max}`)
  }
}

/** Days in the file, milliseconds in the code. */
export function days(min: number, max: number): Reader<number> {
  return value => integer(min, max)(value) * 86_400_000
}

export function oneOf<const T extends string>(...choices: T[]): Reader<T> {
  return value => {
    const choice = choices.find(candidate => candidate === value.toLowerCase())
    if (choice !== undefined) return choice
    throw expected(`one of ${choices.join(', ')}`)
  }
}

/** A comma-separated list; blanks around the items do not count. */
export const list: Reader<readonly string[]> = value =>
  value
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '')

/** A list that may not be empty. */
export const someOf: Reader<readonly string[]> = value => {
  const items = list(value)
  if (items.length === 0) throw expected('a comma-separated list of at least one')
  return items
}

/** Where a store is, unread: device/open.ts opens it. */
export const storeUri: Reader<string> = value => {
  if (parseStoreUri(value)) return value
  throw expected(STORE_URIS)
}

/** One word without blanks. */
export const word: Reader<string> = value => {
  if (/^\S+$/.test(value)) return value
  throw expected('one word')
}

/** Addresses to listen on, each with a port: one that the other side can be told, so not 0. */
export const addresses: Reader<readonly string[]> = value => {
  const items = list(value)
  if (items.every(isAddress)) return items
  throw expected('addresses with a port from 1 to 65535 such as [::1]:11619, separated by commas')
}

function isAddress(item: string): boolean {
  try {
    return parseTcpAddress(item).port > 0
  } catch {
    // An item that is no address is its only error.
    return false
  }
}

/** A user of this system, by name or number; empty means none. */
export const userName: Reader<string> = value => account(value, userId, 'a user of this system')

/** Likewise a group. */
export const groupName: Reader<string> = value => account(value, groupId, 'a group of this system')

function account(value: string, find: (name: string) => number, what: string): string {
  try {
    if (value !== '') find(value)
    return value
  } catch (error) {
    throw expected(`${what}: ${reasonOf(error)}`)
  }
}

/** File permissions in octal, such as 0660. */
export const mode: Reader<number> = value => {
  if (!/^0?[0-7]{3}$/.test(value)) throw expected('an octal file mode such as 0660')
  return Number.parseInt(value, 8)
}
