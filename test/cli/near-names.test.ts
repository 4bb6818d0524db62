/** Which names are taken for forms of another, and what is said then. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nearNames, noDevice } from '../../plugins/xaps/cli/near-names.ts'
import { registering } from '../device/fixtures.ts'
import { xaps } from '../e2e/run.ts'
import { storeOf } from './stores.ts'

const USERS = ['bob@example.org', 'bob@example.net', 'alice', 'Carol@example.org', "o'brien@example.org"]

test('a name without devices has near names', async t => {
  const { store } = await storeOf(t, USERS)
  await store.update('alice', registering('bb'.repeat(32)))
  for (const [name, ...near] of [
    ['bob', 'bob@example.net', 'bob@example.org'],
    ['bob@example.org', 'bob@example.org'],
    ['BOB+shop@Example.org', 'bob@example.org'],
    ['bob@example.com'],
    ['alice@example.org', 'alice'],
    ['alice+x@example.org', 'alice'],
    ['carol@example.org', 'Carol@example.org'],
    ['dora'],
    ['bo'],
  ] as const) {
    const found = await nearNames(store, name, '+')
    assert.deepEqual(
      found.map(({ user }) => user).sort(),
      near.filter(user => user !== name),
      name,
    )
  }
  assert.deepEqual(await nearNames(store, 'Alice', '+'), [{ user: 'alice', devices: 2 }])
})

test('at most five are named', async t => {
  const { store } = await storeOf(
    t,
    [1, 2, 3, 4, 5, 6].map(host => `bob@host${host}.example`),
  )
  assert.equal((await nearNames(store, 'bob', '+')).length, 5)
})

test('a sentence says what to run instead', () => {
  assert.equal(noDevice('bob', [], 'xaps push'), 'bob: no device')
  assert.equal(
    noDevice('bob', [{ user: "bob@o'x", devices: 2 }], 'xaps push'),
    "bob: no device; bob@o'x has 2: xaps push 'bob@o'\\''x'",
  )
})

test('devices and forget name them', async t => {
  const { dir } = await storeOf(t, USERS)
  const devices = await xaps(['-c', dir, 'devices', 'Alice@example.org'])
  assert.deepEqual(devices, {
    status: 0,
    stdout: '',
    stderr: 'xaps: alice@example.org: no device; alice has 1: xaps devices alice\n',
  })
  const { status, stderr } = await xaps(['-c', dir, 'forget', 'alice@example.org'])
  assert.deepEqual(
    [status, stderr],
    [1, 'xaps: alice@example.org: no device; alice has 1: xaps forget alice\n'],
  )
})
