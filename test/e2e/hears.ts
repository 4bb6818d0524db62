/** Asserts which users' phones hear of a mail, and that no other does. */

import assert from 'node:assert/strict'
import type { Apple } from '../fake/apple/server.ts'
import { sendMail } from '../support/smtp.ts'
import { phoneOf, registerByLine } from './dovecot-plugins.ts'
import { FROM, pushed, type Site } from './setup.ts'

/** Registers the first phone of each user. */
export async function register(site: Site, ...users: string[]): Promise<void> {
  for (const user of users) {
    assert.match(await registerByLine(site.socket, phoneOf(user)), /^OK ./, user)
  }
}

/** An address whose mail is pushed to the user's phone for certain. */
export interface Marker {
  readonly address: string
  readonly user: string
}

/** Asserts that a mail `to` some recipients makes one push to the phone of each of `users`, and no other push. */
export type Hears = (to: readonly string[], users: readonly string[]) => Promise<void>

/**
 * A mail to `marker` follows every mail: when its push is there, a push that should not be would be there too.
 * `window` must be 0, or the second mail would wait for the window of the first.
 */
export async function listener(apple: Apple, site: Site, marker: Marker): Promise<Hears> {
  await register(site, marker.user)
  return async (to, users) => {
    apple.clear()
    const { accepted, reply } = await sendMail({ port: site.port, from: FROM, to })
    assert.equal(accepted, true, reply.text)
    await pushed(apple, site, users.length)
    await sendMail({ port: site.port, from: FROM, to: [marker.address] })
    await pushed(apple, site, ({ token }) => token === phoneOf(marker.user).token)
    const tokens = apple.pushes.map(({ token }) => token).sort()
    assert.deepEqual(tokens, [...users, marker.user].map(user => phoneOf(user).token).sort())
  }
}
