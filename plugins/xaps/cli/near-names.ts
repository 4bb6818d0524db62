/** Users with devices whose name is another form of a name that has none. Reads the store; knows no command. */

import { asciiLowerCase } from '../base/canonical-names.ts'
import { localPart, parseAddress, withoutDetail } from '../delivery/address.ts'
import type { DeviceStore } from '../device/store.ts'

/** A user that has devices. */
export interface Near {
  readonly user: string
  readonly devices: number
}

/** So many are enough to choose from. */
const MOST = 5

/** How long a store of any size is searched for a hint, in milliseconds. */
const SEARCH_MS = 5_000

/** Local part and domain of a user name, by which forms of one name are told: no case, no quotes, no extension. */
function partsOf(name: string, delimiters: string): readonly [local: string, host: string] {
  const address = parseAddress(asciiLowerCase(name))
  return [withoutDetail(localPart(address), delimiters), address.host]
}

/**
 * Users with devices that `name` may have meant: the same local part without case and extension, and the same domain where
 * both have one. At most five, and none that would be found after five seconds. `delimiters`: [users] recipient_delimiter.
 * Rejects when the store does.
 */
export async function nearNames(
  store: Pick<DeviceStore, 'users'>,
  name: string,
  delimiters: string,
): Promise<readonly Near[]> {
  const until = Date.now() + SEARCH_MS
  const [local, host] = partsOf(name, delimiters)
  const found: Near[] = []
  for await (const [user, devices] of store.users()) {
    const [otherLocal, otherHost] = partsOf(user, delimiters)
    const sameHost = host === otherHost || host === '' || otherHost === ''
    if (user !== name && otherLocal === local && sameHost) found.push({ user, devices: devices.length })
    if (found.length === MOST || Date.now() > until) break
  }
  return found
}

/** That `user` has no device, and for each near name the `command` to run instead, such as `xaps push`. */
export function noDevice(user: string, near: readonly Near[], command: string): string {
  const others = near.map(other => `; ${other.user} has ${other.devices}: ${command} ${quoted(other.user)}`)
  return `${user}: no device${others.join('')}`
}

/** As a shell takes it for one word. */
function quoted(word: string): string {
  return /^[\w.@%+=:/-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
