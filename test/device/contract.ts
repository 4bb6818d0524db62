/** The contract of a device store, as a suite that each of them passes. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Clock, systemClock } from '../../plugins/xaps/base/clock.ts'
import { type Device, EMPTY_RECORD, pushNameOf } from '../../plugins/xaps/device/device.ts'
import { openStore } from '../../plugins/xaps/device/open.ts'
import { forget, noteCame, removeGone } from '../../plugins/xaps/device/record.ts'
import type { DeviceStore } from '../../plugins/xaps/device/store.ts'
import { until } from '../support/wait.ts'
import { movableClock, recordingLog, registering, startWorker, type Worker } from './fixtures.ts'

/** A place where stores can be opened. */
export interface Place {
  /** With scheme; an absolute path for `lmdb:`. */
  readonly uri: string
  /** What namespaces begin with; empty by default. */
  readonly prefix?: string
  /** Puts a raw text under a key (without namespace), past the store. */
  writeRaw(namespace: string, key: string, text: string): Promise<void>
  remove(): Promise<void>
}

const DAY_MS = 86_400_000
const EXPIRY_MS = 30 * DAY_MS

export function storeContract(name: string, skip: string | false, makePlace: () => Promise<Place>): void {
  describe(`a device store on ${name}`, { skip }, () => {
    let place: Place
    let namespaces = 0
    const open: DeviceStore[] = []
    before(async () => {
      place = await makePlace()
    })
    after(async () => {
      await Promise.all(open.map(store => store.close()))
      await place.remove()
    })

    /** An empty store; with `namespace`, the store of that one. */
    async function fresh(clock: Clock = systemClock, namespace = `${place.prefix ?? ''}n${namespaces++}`) {
      const { log, lines } = recordingLog()
      const options = { uri: place.uri, namespace, expireAfterMs: EXPIRY_MS, harakaDir: '/nonexistent', log }
      const store = await openStore(options, clock)
      open.push(store)
      return { store, namespace, lines }
    }

    const tokensOf = async (store: DeviceStore, user: string) =>
      (await store.devices(user)).map(device => device.token)

    async function allUsers(store: DeviceStore): Promise<Map<string, readonly Device[]>> {
      const users = new Map<string, readonly Device[]>()
      for await (const [user, devices] of store.users()) users.set(user, devices)
      return users
    }

    test('gives back what was registered, and nothing of a user it does not know', async () => {
      const { store } = await fresh()
      const mailboxes = ['INBOX', 'Entwürfe', ':base64:QUJD', ':colon', '__proto__', '\ud83d\ude80']
      const record = await store.update('alice', registering('aa', Date.now(), mailboxes))
      assert.deepEqual(await store.devices('alice'), record.devices)
      assert.deepEqual(record.devices[0]?.mailboxes, mailboxes)
      assert.deepEqual(await store.devices('bob'), [])
    })

    test('is seen by another that opens it', async () => {
      const { store, namespace } = await fresh()
      await store.update('alice', registering('aa'))
      const { store: other } = await fresh(systemClock, namespace)
      assert.deepEqual(await tokensOf(other, 'alice'), ['aa'])
    })

    test('keeps namespaces apart', async () => {
      const { store } = await fresh()
      const { store: other } = await fresh()
      await store.update('alice', registering('aa'))
      assert.deepEqual(await other.devices('alice'), [])
      assert.equal((await allUsers(other)).size, 0)
    })

    test('keeps every change of one user made at once in one process', async () => {
      const { store } = await fresh()
      const tokens = Array.from({ length: 60 }, (_, index) => `t${index}`)
      await Promise.all(tokens.map(token => store.update('alice', registering(token))))
      assert.deepEqual((await tokensOf(store, 'alice')).sort(), tokens.sort())
    })

    test('gives the record to the change, and the result back', async () => {
      const { store } = await fresh()
      const first = await store.update('alice', registering('aa'))
      const same = await store.update('alice', record => record)
      assert.deepEqual(same, first)
      const none = await store.update('alice', record => forget(record, () => true))
      assert.deepEqual(none, EMPTY_RECORD)
      assert.deepEqual(await store.devices('alice'), [])
      assert.equal((await allUsers(store)).size, 0)
    })

    test('rejects when the change throws, and works on', async () => {
      const { store } = await fresh()
      const broken = store.update('alice', () => {
        throw new Error('no such change')
      })
      await assert.rejects(broken, error => /no such change/.test(String((error as Error).cause ?? error)))
      await store.update('alice', registering('aa'))
      assert.deepEqual(await tokensOf(store, 'alice'), ['aa'])
    })

    test('takes any user name, and mixes none up with another or with a claim', async () => {
      const { store } = await fresh()
      const names = [
        '__proto__',
        'constructor',
        'alice',
        'Alice',
        'alice ',
        'device:alice',
        'claim:alice',
        'push:alice',
        'n0::device:alice',
        'ä@exämple.org',
        'a\u0308@exämple.org',
        '\u0001',
        '*',
        '[a-z]?\\',
        '\ud83d\ude80'.repeat(63),
        'x'.repeat(255),
        'x'.repeat(254),
      ]
      await Promise.all(names.map((user, index) => store.update(user, registering(`t${index}`))))
      for (const user of names) await store.claim(user, { ageMs: 0, windowMs: 1_000 })
      for (const [index, user] of names.entries())
        assert.deepEqual(await tokensOf(store, user), [`t${index}`])
      assert.deepEqual([...(await allUsers(store)).keys()].sort(), names.sort())
    })

    test('rejects names that are empty, too long, or not proper Unicode', async () => {
      const { store } = await fresh()
      for (const user of ['', 'x'.repeat(256), 'ä'.repeat(128), 'a\0b', 'a\ud800']) {
        await assert.rejects(store.devices(user), RangeError)
        await assert.rejects(store.update(user, registering('aa')), RangeError)
      }
    })

    test('never revives a device that is gone by an older registration', async () => {
      const { store } = await fresh()
      const at = Date.now()
      await store.update('alice', registering('aa', at))
      await store.update('alice', record => removeGone(record, { account: 'A', token: 'aa' }, at + 5))
      assert.deepEqual(await store.gone('alice'), [{ account: 'A', token: 'aa', at: at + 5 }])
      await store.update('alice', registering('aa', at + 5))
      assert.deepEqual(await store.devices('alice'), [])
      await store.update('alice', registering('aa', at + 6))
      assert.deepEqual(await tokensOf(store, 'alice'), ['aa'])
    })

    test('does not show devices that have expired, and keeps them away from changes', async () => {
      const clock = movableClock()
      const { store } = await fresh(clock)
      await store.update('alice', registering('old', clock.now()))
      clock.move(DAY_MS)
      await store.update('alice', registering('new', clock.now()))
      clock.move(EXPIRY_MS - DAY_MS)
      assert.deepEqual(await tokensOf(store, 'alice'), ['new'])
      assert.deepEqual((await allUsers(store)).get('alice')?.length, 1)
      const record = await store.update('alice', record => ({ ...record }))
      assert.equal(record.devices.length, 1)
    })

    test('sweeps away expired devices and nothing else, and counts them', async () => {
      const clock = movableClock()
      const { store } = await fresh(clock)
      const users = Array.from({ length: 300 }, (_, index) => `user${index}`)
      await Promise.all(users.map(user => store.update(user, registering('old', clock.now()))))
      clock.move(EXPIRY_MS)
      await store.update('user7', registering('new', clock.now()))
      await store.update('fresh', registering('new', clock.now()))
      assert.equal(await store.sweep(), 299)
      assert.equal(await store.sweep(), 0)
      clock.move(-EXPIRY_MS)
      assert.deepEqual([...(await allUsers(store)).keys()].sort(), ['fresh', 'user7'])
    })

    test('lists every user once, however many there are, and may be left in the middle', async () => {
      const { store } = await fresh()
      const users = Array.from({ length: 2_500 }, (_, index) => `user${index}`)
      await Promise.all(users.map(user => store.update(user, registering('aa'))))
      const seen: string[] = []
      for await (const [user, devices] of store.users()) {
        assert.equal(devices.length, 1)
        seen.push(user)
      }
      assert.deepEqual(seen.sort(), users.sort())
      for await (const _ of store.users()) break
      assert.deepEqual(await tokensOf(store, 'user1'), ['aa'])
    })

    test('lists all others where some records are damaged, and rejects in the end', async () => {
      const { store, namespace } = await fresh()
      for (const user of ['alice', 'carol']) await place.writeRaw(namespace, `device:${user}`, 'damaged')
      for (const user of ['bob', 'dave']) await store.update(user, registering('aa'))
      const seen: string[] = []
      const listing = async () => {
        for await (const [user] of store.users()) seen.push(user)
      }
      await assert.rejects(listing, /(alice|carol).* and 1 more are damaged/)
      assert.deepEqual(seen.sort(), ['bob', 'dave'])
    })

    test('calls a damaged record damaged, names the user, and quotes nothing of it', async () => {
      const { store, namespace, lines } = await fresh()
      const damaged = ['{"value":{"devices":[{"token":"secret"', '{"value":{"devices":"secret"}}', 'null', '']
      for (const text of damaged) {
        await place.writeRaw(namespace, 'device:alice', text)
        const expected = (error: Error) =>
          /"alice"/.test(error.message) && /damaged/.test(error.message) && !/secret/.test(error.message)
        await assert.rejects(store.devices('alice'), expected)
        await assert.rejects(allUsers(store), expected)
        assert.equal(await store.sweep(), 0)
      }
      await store.update('alice', registering('aa'))
      assert.deepEqual(await tokensOf(store, 'alice'), ['aa'])
      assert.ok(lines.some(({ level, message }) => level === 'error' && /replaced/.test(message)))
      assert.ok(!JSON.stringify(lines).includes('alice'))
    })

    test('grants the first claim, covers older events, and lets newer ones wait for the window', async () => {
      const { store } = await fresh()
      const claim = await store.claim('push', { ageMs: 0, windowMs: 600_000 })
      assert.equal(claim.kind, 'granted')
      const covered = await store.claim('push', { ageMs: 60_000, windowMs: 600_000 })
      assert.deepEqual(covered, { kind: 'covered' })
      const wait = await store.claim('push', { ageMs: -60_000, windowMs: 600_000 })
      assert.ok(wait.kind === 'wait' && wait.ms > 0 && wait.ms <= 600_000, JSON.stringify(wait))
      const other = await store.claim('another push', { ageMs: 60_000, windowMs: 600_000 })
      assert.equal(other.kind, 'granted')
    })

    test('grants again once the window is over', async () => {
      const { store } = await fresh()
      const request = { ageMs: -1, windowMs: 1 }
      const first = await store.claim('push', request)
      const second = await until(async () => {
        const claim = await store.claim('push', request)
        return claim.kind === 'granted' ? claim : undefined
      }, 'a second claim')
      assert.ok(first.kind === 'granted' && second.id > first.id)
    })

    test('a claim that is still held does not stand in its holder\u2019s way', async () => {
      const { store } = await fresh()
      const request = { ageMs: 60_000, windowMs: 600_000 }
      const first = await store.claim('push', request)
      assert.ok(first.kind === 'granted')
      assert.equal((await store.claim('push', { ...request, held: first.id })).kind, 'granted')
      assert.equal((await store.claim('push', { ...request, held: first.id - 1 })).kind, 'covered')
    })

    test('keeps when a push has brought a phone, beside the devices and for as long as them', async () => {
      const { store } = await fresh()
      const came = { at: Date.now(), afterMs: 800 }
      await store.update('alice', record => noteCame(record, came))
      assert.equal(await store.came('alice'), undefined)
      await store.update('alice', registering('aa'))
      await store.update('alice', record => noteCame(record, came))
      await store.update('alice', registering('bb'))
      assert.deepEqual(await store.came('alice'), came)
      for await (const [user, devices, known] of store.users())
        assert.deepEqual([user, devices.length, known], ['alice', 2, came])
      await store.update('alice', record => forget(record, () => true))
      assert.equal(await store.came('alice'), undefined)
      assert.equal((await allUsers(store)).size, 0)
    })

    test('reads records without it, and devices beside one that cannot be read', async () => {
      const { store, namespace } = await fresh()
      const { devices, gone } = await store.update('alice', registering('aa'))
      const texts = [undefined, null, 7, {}, { at: 'x' }, { at: 1e99 }, { at: 5, afterMs: 'x' }]
      for (const came of texts) {
        await place.writeRaw(namespace, 'device:alice', JSON.stringify({ value: { devices, gone, came } }))
        assert.equal(await store.came('alice'), undefined)
        assert.deepEqual(await store.devices('alice'), devices)
      }
      await store.update('alice', record => noteCame(record, { at: 5 }))
      assert.deepEqual(await store.came('alice'), { at: 5 })
    })

    test('knows the last push to any device of a user, whoever claimed it', async () => {
      const { store, namespace } = await fresh()
      await store.update('alice', registering('aa'))
      await store.update('alice', registering('bb'))
      assert.equal(await store.lastPush('alice'), undefined)
      const { store: other } = await fresh(systemClock, namespace)
      const [device] = await other.devices('alice')
      assert.ok(device)
      const from = Date.now()
      assert.equal((await other.claim(pushNameOf(device), { ageMs: 0, windowMs: 5_000 })).kind, 'granted')
      const ms = await until(
        async () => (await store.lastPush('alice')) || undefined,
        'a millisecond to pass',
      )
      // Redis has a clock of its own.
      assert.ok(ms <= Date.now() - from + 10, String(ms))
      assert.equal(await store.lastPush('bob'), undefined)
    })

    async function inProcesses(count: number, job: Omit<Parameters<typeof startWorker>[0], 'uri' | 'name'>) {
      const start = (_: unknown, index: number) => startWorker({ ...job, uri: place.uri, name: `w${index}` })
      return Promise.all(Array.from({ length: count }, start))
    }

    const finish = async (workers: readonly Worker[]) => {
      for (const worker of workers) worker.go()
      await Promise.all(workers.map(worker => worker.ended))
      return workers.flatMap(worker => worker.done)
    }

    test('loses no registration when four processes write one user\u2019s devices at once', async () => {
      const { store, namespace } = await fresh()
      const job = { namespace, kind: 'register', user: 'alice', count: 50, concurrency: 5 } as const
      const done = await finish(await inProcesses(4, job))
      assert.equal(done.length, 200)
      assert.deepEqual((await tokensOf(store, 'alice')).sort(), done.sort())
    })

    test('grants each push to exactly one of four processes', async () => {
      const { namespace } = await fresh()
      const job = { namespace, kind: 'claim', user: '', count: 100, concurrency: 4 } as const
      const done = await finish(await inProcesses(4, job))
      assert.deepEqual(done.sort(), Array.from({ length: 100 }, (_, index) => `push-${index}`).sort())
    })

    test('has every acknowledged registration when its writers are killed', async () => {
      const { store, namespace } = await fresh()
      const job = { namespace, kind: 'register', user: 'alice', count: 1_000_000, concurrency: 4 } as const
      const workers = await inProcesses(2, job)
      for (const worker of workers) worker.go()
      await until(() => workers.every(worker => worker.done.length >= 50), 'the writers to have written')
      for (const worker of workers) worker.child.kill('SIGKILL')
      await Promise.all(workers.map(worker => worker.ended))
      const stored = new Set(await tokensOf(store, 'alice'))
      const lost = workers.flatMap(worker => worker.done).filter(token => !stored.has(token))
      assert.deepEqual(lost, [])
      await store.update('alice', registering('after'))
    })
  })
}
