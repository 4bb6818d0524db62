import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startApple } from '../fake/apple/server.ts'
import { owned } from '../support/owned.ts'
import { missingRedis, startRedis } from '../support/redis.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { listener } from './hears.ts'
import { type Sections, startSite } from './setup.ts'

const ALICE = 'alice@example.com'
const MAILS = 20
/** In seconds: longer than the mails take, also on a busy machine. */
const WINDOW = 3

test('two hosts that share a Redis share registrations and windows', { skip: missingRedis() }, async t => {
  const redis = owned(t, await startRedis())
  const apple = owned(t, await startApple())
  const xaps = { store: { uri: redis.uri }, push: { window: 0 } }
  const host = () => startSite(t, { apple, xaps })
  const [one, other] = await Promise.all([host(), host()])
  await one.register(ALICE)
  const hears = await listener(other)
  await t.test('a phone that registered at one hears of mail to the other', () => hears([ALICE], [ALICE]))
  await t.test('a mail to a user without phones costs one look into the store', async () => {
    const commands = await redis.commandsDuring(() => hears(['carol@example.com'], []))
    assert.equal(commands.filter(command => /carol/.test(command)).length, 1, commands.join('\n'))
  })
})

for (const kind of ['lmdb', 'redis'] as const) {
  test(`${MAILS} mails at once through two workers make two pushes, with ${kind}`, {
    skip: kind === 'redis' && missingRedis(),
  }, async t => {
    const store: Sections = kind === 'lmdb' ? {} : { store: { uri: owned(t, await startRedis()).uri } }
    const site = await startSite(t, { nodes: 2, xaps: { push: { window: WINDOW }, ...store } })
    await site.register(ALICE)
    // Over a connection each, so that both workers get some.
    await Promise.all(Array.from({ length: MAILS }, () => site.mail(ALICE)))
    await site.pushed(2)
    assert.equal(site.lmtp.mails.length, MAILS)
    // A pending push is sent before Haraka ends, so nothing was.
    await site.stop('SIGTERM')
    assert.deepEqual(site.tokens(), Array(2).fill(phoneOf(ALICE).token))
  })
}
