import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { startApple } from '../fake/apple/server.ts'
import { owned } from '../support/owned.ts'
import { missingRedis, startRedis } from '../support/redis.ts'
import { SmtpConnection } from '../support/smtp.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { listener, register } from './hears.ts'
import { FROM, pushed, type Sections, startSite } from './setup.ts'

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
  await register(one, ALICE)
  const marker = 'marker@example.com'
  const hears = await listener(apple, other, { address: marker, user: marker })
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
    const { apple, lmtp, ...site } = await startSite(t, {
      nodes: 2,
      xaps: { push: { window: WINDOW }, ...(await storeOf(kind, t)) },
    })
    await register(site, ALICE)
    await Promise.all(Array.from({ length: MAILS }, () => sendOver(site.port)))
    await pushed(apple, site, 2)
    assert.equal(lmtp.mails.length, MAILS)
    // A pending push is sent before Haraka ends, so nothing was.
    await site.stop('SIGTERM')
    assert.deepEqual(
      apple.pushes.map(({ token }) => token),
      [phoneOf(ALICE).token, phoneOf(ALICE).token],
    )
  })
}

async function storeOf(kind: 'lmdb' | 'redis', t: TestContext): Promise<Sections> {
  if (kind === 'lmdb') return {}
  const redis = owned(t, await startRedis())
  return { store: { uri: redis.uri } }
}

/** Over a connection of its own, so that both workers get some. */
async function sendOver(port: number): Promise<void> {
  const connection = await SmtpConnection.open(port)
  await connection.send({ from: FROM, to: [ALICE] })
  await connection.quit()
}
