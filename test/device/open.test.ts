import assert from 'node:assert/strict'
import path from 'node:path'
import { after, test } from 'node:test'
import { openStore } from '../../plugins/xaps/device/open.ts'
import { tempDirectory } from '../support/temp.ts'
import { registering, silentLog } from './fixtures.ts'

const temp = tempDirectory()
after(temp.remove)
const open = (uri: string, namespace = 'xaps') =>
  openStore({ uri, namespace, expireAfterMs: 86_400_000, harakaDir: temp.path, log: silentLog })

test('a relative path starts from the Haraka directory, and may leave it', async () => {
  for (const [uri, absolute] of [
    ['lmdb:xaps', path.join(temp.path, 'xaps')],
    ['lmdb:xaps.d/deep/store.v1', path.join(temp.path, 'xaps.d/deep/store.v1')],
    [`lmdb:../${path.basename(temp.path)}/up`, path.join(temp.path, 'up')],
  ] as const) {
    const store = await open(uri)
    await store.update('alice', registering('aa'))
    await store.close()
    const again = await open(`lmdb:${absolute}`)
    assert.equal((await again.devices('alice')).length, 1, uri)
    await again.close()
  }
})

test('anything but the URIs of these stores is refused, without showing it', async () => {
  for (const uri of [
    '',
    'lmdb:',
    'xaps',
    'sqlite:x',
    'redis:',
    'redis://[',
    'mysql://user:secret@host',
    'LMDB:x',
  ]) {
    await assert.rejects(open(uri), error => {
      assert.match(String(error), /must be lmdb:DIRECTORY, redis:\/\/HOST:PORT, redis\+sentinel/)
      return !String(error).includes('secret')
    })
  }
})

test('two LMDB stores of one process keep their own, and one is read through while it is emptied', async () => {
  const [devices, spool] = await Promise.all([open('lmdb:devices'), open('lmdb:spool')])
  await devices.update('alice', registering('aa'))
  const users = Array.from({ length: 600 }, (_, n) => `user${n}`)
  await Promise.all(users.map(user => spool.update(user, registering('bb'))))
  const failing = spool.update('user0', () => {
    throw new Error('no such change')
  })
  await Promise.all([
    assert.rejects(failing, /no such change|cannot be written/),
    spool.update('user0', registering('cc')),
  ])
  const seen: string[] = []
  for await (const [user] of spool.users()) {
    seen.push(user)
    await spool.update(user, () => ({ devices: [], gone: [] }))
  }
  assert.deepEqual(seen.sort(), users.sort())
  for await (const [user] of spool.users()) assert.fail(user)
  assert.equal((await devices.devices('alice')).length, 1)
  await Promise.all([devices.close(), spool.close()])
})

test('an empty namespace is refused', async () => {
  await assert.rejects(open('lmdb:xaps', ''), /namespace/)
})
