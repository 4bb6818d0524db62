/**
 * The kinds of value that a key of xaps.ini can have: each reads the text of the file into what the code works
 * with, or throws a sentence that says what was expected. Knows no key by name.
 */

import { groupId, userId } from '../base/accounts.ts'
import { isNetwork, parseTcpAddress } from '../base/addresses.ts'
import { reasonOf } from '../base/log.ts'
import { parseStoreUri, STORE_URIS } from '../base/store-uri.ts'

/** Reads the text after `key =`. Throws an Error whose message completes "expected …". */
export type Reader<T> = (text: string) => T

/** A reader of what `read` knows: undefined for text that is not what was `expected`. */
function reader<T>(expected: string, read: (text: string) => T | undefined): Reader<T> {
  return value => {
    const result = read(value)
    if (result === undefined) throw new Error(expected)
    return result
  }
}

export const text: Reader<string> = value => value

export const flag = reader('true or false', value => {
  if (/^(true|yes|ok|enabled|on|1)$/i.test(value)) return true
  return /^(false|no|disabled|off|0)$/i.test(value) ? false : undefined
})

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number): Reader<number> {
  return reader(`a whole number from ${min} to ${max}`, value =>
    inRange(min, max, /^(\d{1,15})$/.exec(value)),
  )
}

/** Seconds in the file (a fraction is fine, a trailing `s` too), milliseconds in the code. */
export function seconds(min: number, max: number): Reader<number> {
  return reader(`seconds, from ${min} to ${max}`, value => {
    const number = inRange(min, max, /^(\d{1,9}(?:\.\d{1,3})?)\s*s?$/.exec(value))
    return number === undefined ? undefined : Math.round(number * 1000)
  })
}

/** The number of a match, when there is one and it is not out of range. */
function inRange(min: number, max: number, match: RegExpExecArray | null): number | undefined {
  const number = Number(match?.[1] ?? Number.NaN)
  return number >= min && number <= max ? number : undefined
}

/** Days in the file, milliseconds in the code. */
export function days(min: number, max: number): Reader<number> {
  return value => integer(min, max)(value) * 86_400_000
}

export function oneOf<const T extends string>(...choices: T[]): Reader<T> {
  return reader(`one of ${choices.join(', ')}`, value =>
    choices.find(choice => choice === value.toLowerCase()),
  )
}

/** A comma-separated list; blanks around the items do not count. */
function listed(value: string): readonly string[] {
  return value
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '')
}

/** A list that may not be empty. */
export const someOf = reader('a comma-separated list of at least one', value => {
  const items = listed(value)
  return items.length > 0 ? items : undefined
})

/** Where a store is, unread: device/open.ts opens it. */
export const storeUri = reader(STORE_URIS, value => (parseStoreUri(value) ? value : undefined))

/** One word without blanks. */
export const word = reader('one word', value => (/^\S+$/.test(value) ? value : undefined))

/** Addresses to listen on, each with a port: one that the other side can be told, so not 0. */
export const addresses = reader(
  'addresses with a port from 1 to 65535 such as [::1]:11619, separated by commas',
  value => {
    const items = listed(value)
    return items.every(isAddress) ? items : undefined
  },
)

function isAddress(item: string): boolean {
  try {
    return parseTcpAddress(item).port > 0
  } catch {
    // An item that is no address is its only error.
    return false
  }
}

/** Peers, by address or network; none is fine. */
export const networks = reader(
  'addresses and networks such as 192.0.2.7 and 10.0.0.0/8, separated by commas',
  value => {
    const items = listed(value)
    return items.every(isNetwork) ? items : undefined
  },
)

/** A user of this system, by name or number; empty means none. */
export const userName = account('a user of this system', userId)

/** Likewise a group. */
export const groupName = account('a group of this system', groupId)

function account(what: string, find: (name: string) => number): Reader<string> {
  return value => {
    try {
      if (value !== '') find(value)
      return value
    } catch (error) {
      throw new Error(`${what}: ${reasonOf(error)}`)
    }
  }
}

/** File permissions in octal, such as 0660. */
export const mode = reader('an octal file mode such as 0660', value =>
  /^0?[0-7]{3}$/.test(value) ? Number.parseInt(value, 8) : undefined,
)
