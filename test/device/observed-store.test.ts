import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import test from 'node:test'
import { noLog } from '../../plugins/xaps/base/log.ts'
import { observed } from '../../plugins/xaps/device/observed-store.ts'
import { deviceStore } from '../../plugins/xaps/device/open.ts'
import { tempDirectory } from '../support/temp.ts'

test('a store that has nothing for one name has not failed, and its name is told nobody', async t => {
  const dir = tempDirectory()
  t.after(() => dir.remove())
  const options = { namespace: randomUUID(), expireAfterMs: 1_000, harakaDir: dir.path, log: noLog }
  const heard: (string | undefined)[] = []
  const store = observed(
    deviceStore({ ...options, uri: `lmdb:${dir.path}/store` }),
    (operation, _ms, failure) => heard.push(`${operation} ${failure ?? 'answered'}`),
  )
  t.after(() => store.close())
  await assert.rejects(store.devices('half \ud800'), RangeError)
  assert.deepEqual(await store.devices('anna'), [])
  assert.deepEqual(heard, ['lookup answered', 'lookup answered'])
})
