/** From one store to another while phones register: what the command does, and that no registration is lost on the way. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { owned } from '../support/owned.ts'
import { missingRedis, startRedis } from '../support/redis.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { startSite } from './setup.ts'

interface Exported {
  readonly user: string
  readonly token: string
  readonly registeredAt: string
  readonly lastSeen: string
}

const entriesIn = (text: string): Exported[] =>
  text
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))

test('a move from LMDB to Redis loses no registration', { skip: missingRedis() }, async t => {
  const redis = owned(t, await startRedis())
  const before = await startSite(t)
  let phones = 0
  const registerOn = async (site: typeof before, end: Promise<unknown>) => {
    let ended = false
    void end.finally(() => {
      ended = true
    })
    do await site.register(phoneOf(`user${phones++}@example.com`))
    while (!ended)
  }
  const copy = () => before.xaps('copy', 'lmdb:xaps', redis.uri)

  await before.register(phoneOf('first@example.com'), phoneOf('again@example.com'))
  const first = copy()
  await registerOn(before, first)
  assert.equal((await first).status, 0, (await first).stderr)
  const after = await startSite(t, { xaps: { store: { uri: redis.uri } } })
  await after.register(phoneOf('again@example.com'))
  await before.register(phoneOf('late@example.com'))
  const second = copy()
  await registerOn(after, second)
  const { status, stdout, stderr } = await second
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^taken +[1-9]\d*$/m)

  const old = entriesIn((await before.xaps('export')).stdout)
  const moved = new Map(entriesIn((await after.xaps('export')).stdout).map(entry => [entry.user, entry]))
  assert.equal(moved.size, phones + 3)
  for (const entry of old) {
    const there = moved.get(entry.user)
    assert.equal(there?.registeredAt, entry.registeredAt, entry.user)
    if (entry.user !== 'again@example.com') assert.deepEqual(there, entry)
    else assert.ok(Date.parse(there?.lastSeen ?? '') > Date.parse(entry.lastSeen), 'the later registration')
  }
  await t.test('and once more takes nothing', async () => {
    assert.match((await copy()).stdout, /^taken +0$/m)
  })
})

test('a copy from or to what is no store says so, and changes nothing', async t => {
  const site = await startSite(t)
  await site.register(phoneOf('first@example.com'))
  const refused: readonly (readonly [from: string, to: string, says: RegExp])[] = [
    ['lmdb:none', 'lmdb:other', /no device store in .*none yet/],
    ['lmdb:xaps', 'mysql://x', /the URI of the device store must be lmdb:DIRECTORY/],
    ['lmdb:xaps', 'redis://127.0.0.1:1', /Redis at 127\.0\.0\.1:1/],
  ]
  for (const [from, to, says] of refused) {
    const { status, stderr } = await site.xaps('copy', from, to)
    assert.equal(status, 1, to)
    assert.match(stderr, says)
  }
  assert.equal((await site.xaps('copy', 'lmdb:xaps')).status, 2)
})
