import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { owned } from '../support/owned.ts'
import { missingRedis, startRedis } from '../support/redis.ts'
import { phoneOf, registerByLine } from './dovecot-plugins.ts'
import { xaps } from './run.ts'
import { type Sections, startSite } from './setup.ts'

const USERS = 50
const PHONES = 6

for (const kind of ['lmdb', 'redis'] as const) {
  test(`registrations that were answered survive kill -9 of everything, with ${kind}`, {
    skip: kind === 'redis' && missingRedis(),
  }, async t => {
    const { store, kill } = await storeOf(kind, t)
    const site = await startSite(t, { xaps: store })
    const phones = Array.from({ length: USERS * PHONES }, (_, n) =>
      phoneOf(`user${n % USERS}@example.com`, n),
    )
    const answers = await Promise.all(phones.map(phone => registerByLine(site.socket, phone)))
    for (const { pid } of site.children()) process.kill(pid, 'SIGKILL')
    await kill()
    await site.kill()
    for (const answer of answers) assert.match(answer, /^OK ./)
    const { stdout } = await xaps(['-c', site.dir, 'devices', '--json', '--full'])
    const tokens = stdout.match(/(?<="token":")\w+/g) ?? []
    assert.deepEqual(tokens.sort(), phones.map(({ token }) => token).sort())
  })
}

/** `kill` ends what keeps the store, and starts it again. */
async function storeOf(
  kind: 'lmdb' | 'redis',
  t: TestContext,
): Promise<{ store: Sections; kill: () => Promise<void> }> {
  if (kind === 'lmdb') return { store: {}, kill: async () => undefined }
  const redis = owned(t, await startRedis())
  const kill = async () => {
    await redis.kill()
    await redis.start()
  }
  return { store: { store: { uri: redis.uri } }, kill }
}
