import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { asJson } from '../../plugins/xaps/cli/devices.ts'
import { writeDevices } from '../../plugins/xaps/cli/write-devices.ts'
import type { Device } from '../../plugins/xaps/device/device.ts'
import type { DeviceStore } from '../../plugins/xaps/device/store.ts'
import { until } from '../support/wait.ts'

const device: Device = {
  account: 'ACCOUNT-1',
  token: 'a1'.repeat(32),
  mailboxes: ['INBOX'],
  subtopic: 'com.apple.mobilemail',
  topic: 'topic',
  registeredAt: 0,
  lastSeen: 1,
}

const write = (output: Writable, store: Pick<DeviceStore, 'users'>) =>
  writeDevices(output, store.users(), (user, device) => asJson(user, device, true))

/** A store of so many users, which counts how many were asked for. */
function storeOf(count: number) {
  const store = {
    asked: 0,
    async *users() {
      for (let index = 0; index < count; index += 1) {
        store.asked += 1
        yield [`user${index}`, [device, device]] as const
      }
    },
  }
  return store
}

/** An output, and what has been written to it. */
function collector() {
  const pieces: Buffer[] = []
  const output = new Writable({
    write(piece, _encoding, done) {
      pieces.push(piece)
      done()
    },
  })
  return { output, text: () => Buffer.concat(pieces).toString() }
}

test('writes a line for each device, and leaves the output open', async () => {
  const { output, text } = collector()
  await write(output, storeOf(3))
  const lines = text().split('\n')
  assert.equal(lines.length, 7)
  assert.deepEqual(JSON.parse(lines[0] ?? ''), {
    user: 'user0',
    ...device,
    registeredAt: '1970-01-01T00:00:00.000Z',
    lastSeen: '1970-01-01T00:00:00.001Z',
  })
  assert.equal(output.writable, true)
})

test('reads no more of the store than the output takes', async () => {
  const store = storeOf(100_000)
  const waiting: Array<() => void> = []
  const output = new Writable({ write: (_piece, _encoding, done) => waiting.push(done) })
  const exported = write(output, store)
  await until(() => waiting.length > 0, 'the first piece')
  await new Promise(setImmediate)
  assert.ok(store.asked < 5_000, `${store.asked} users read for one piece of output`)
  output.destroy(new Error('closed'))
  waiting[0]?.()
  await assert.rejects(exported, /closed/)
})

test('rejects when the store fails, after what it gave before', async () => {
  const { output, text } = collector()
  const store = {
    async *users() {
      yield ['anna', [device]] as const
      throw new Error('damaged')
    },
  }
  await assert.rejects(write(output, store), /damaged/)
  assert.equal(JSON.parse(text()).user, 'anna')
})
