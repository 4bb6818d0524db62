/** Asserts which users' phones hear of a mail, and that no other does. */

import assert from 'node:assert/strict'
import { sendMail } from '../support/smtp.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { FROM, type Site } from './setup.ts'

/** Asserts that a mail `to` some recipients makes one push to the phone of each of `users`, and no other push. */
export type Hears = (to: readonly string[], users: readonly string[]) => Promise<void>

/**
 * A mail to the marker, whose user has a phone, follows every mail: when its push is there, a push that should not be
 * would be there too. `window` must be 0, or the second mail would wait for the window of the first.
 */
export async function listener(
  site: Site,
  address = 'marker@example.com',
  markerUser = address,
): Promise<Hears> {
  const { apple, port } = site
  const marker = phoneOf(markerUser)
  await site.register(marker)
  return async (to, users) => {
    apple.clear()
    const { accepted, reply } = await sendMail({ port, from: FROM, to })
    assert.equal(accepted, true, reply.text)
    await site.pushed(users.length)
    await sendMail({ port, from: FROM, to: [address] })
    await site.pushed(({ token }) => token === marker.token)
    const expected = [marker, ...users.map(user => phoneOf(user))]
    assert.deepEqual(site.tokens(), expected.map(({ token }) => token).sort())
  }
}
