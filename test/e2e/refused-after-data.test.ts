import { type TestContext, test } from 'node:test'
import { missingDovecot, startDovecot } from '../support/dovecot.ts'
import { startLmtp } from '../support/lmtp.ts'
import { owned } from '../support/owned.ts'
import { listener, register } from './hears.ts'
import { startSite } from './setup.ts'

/*
 * A recipient refused after DATA makes Haraka name the wrong recipients to its plugins; only the server's words tell.
 */

const ALICE = 'alice@example.com'
const BOB = 'bob@example.com'
const FULL = 'full@example.com'
const MARKER = 'marker@example.com'

test('those whose mail Dovecot has saved hear of it, not the one over quota', {
  skip: missingDovecot(),
}, async t => {
  const dovecot = owned(t, await startDovecot({ users: [ALICE, BOB, FULL, MARKER], quotaFull: [FULL] }))
  await inEveryOrder(t, dovecot.lmtpPort)
})

test('the same with an LMTP server other than Dovecot', async t => {
  const lmtp = owned(t, await startLmtp({ refuseAfterData: new Set([FULL]) }))
  await inEveryOrder(t, lmtp.port)
})

async function inEveryOrder(t: TestContext, lmtpPort: number): Promise<void> {
  const { apple, ...site } = await startSite(t, { lmtpPort, xaps: { push: { window: 0 } } })
  await register(site, ALICE, BOB, FULL)
  const hears = await listener(apple, site, { address: MARKER, user: MARKER })
  await t.test('the last of two', () => hears([ALICE, FULL], [ALICE]))
  await t.test('the first of two', () => hears([FULL, ALICE], [ALICE]))
  await t.test('the one in the middle', () => hears([ALICE, FULL, BOB], [ALICE, BOB]))
  await t.test('the only one', () => hears([FULL], []))
}
