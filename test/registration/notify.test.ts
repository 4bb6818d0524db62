import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Device } from '../../plugins/xaps/device/device.ts'
import type { MailEvent } from '../../plugins/xaps/event.ts'
import type { Decision } from '../../plugins/xaps/observe/decisions.ts'
import { kindOf, makeNotify, type Notified } from '../../plugins/xaps/registration/notify.ts'
import { heldClock } from './tools.ts'

const device: Device = {
  account: 'A',
  token: 'ab'.repeat(32),
  mailboxes: ['INBOX'],
  subtopic: 'com.apple.mobilemail',
  topic: 'T',
  registeredAt: 1,
  lastSeen: 1,
}
const changed = { user: 'user@example.org', mailbox: 'INBOX', events: ['FlagsSet'] }

function setup(
  devices: (user: string) => Promise<readonly Device[]>,
  notified: Notified = { newMail: false, changes: true },
) {
  const clock = heldClock()
  const submitted: { event: MailEvent; devices: readonly Device[] | undefined }[] = []
  const submit = (event: MailEvent, devices?: readonly Device[]) => void submitted.push({ event, devices })
  const decided: Decision[] = []
  const notPushed = (decision: Decision) => void decided.push(decision)
  return { clock, submitted, decided, notify: makeNotify({ devices, submit, notPushed, notified }, clock) }
}

test('submits what is to be pushed, with the time at which the notification came, and whom', async () => {
  const { submitted, notify } = setup(async () => [device])
  assert.equal(await notify(changed, 1234), 'accepted')
  const event = { user: 'user@example.org', kind: 'change', at: 1234 }
  assert.deepEqual(submitted, [{ event, devices: [device] }])
})

test('says that there is nothing to do for a known user when the event is no reason to push', async () => {
  const { submitted, decided, notify } = setup(async () => [device])
  assert.equal(await notify({ ...changed, mailbox: 'Notes' }, 1), 'nothing')
  assert.equal(await notify({ ...changed, events: ['MessageNew'] }, 1), 'nothing')
  assert.deepEqual(submitted, [])
  assert.deepEqual(decided, ['other_folder', 'other_source'])
})

test('says so when the user has no devices, whatever the event', async () => {
  const { submitted, decided, notify } = setup(async () => [])
  assert.equal(await notify(changed, 1), 'unknown')
  assert.equal(await notify({ ...changed, mailbox: 'Notes' }, 1), 'unknown')
  assert.deepEqual(submitted, [])
  assert.deepEqual(decided, ['no_device', 'no_device'])
})

test('submits for a user whose devices cannot be looked up: the push side will ask again', async () => {
  const { submitted, notify } = setup(() => Promise.reject(new Error('away')))
  assert.equal(await notify(changed, 1), 'accepted')
  assert.deepEqual(
    submitted.map(({ devices }) => devices),
    [undefined],
  )
})

test('submits after 300 ms when the store says nothing', async () => {
  const { clock, submitted, notify } = setup(() => new Promise(() => undefined))
  const outcome = notify(changed, 1)
  await clock.advance(299)
  assert.equal(submitted.length, 0)
  await clock.advance(1)
  assert.equal(await outcome, 'accepted')
  assert.equal(submitted.length, 1)
})

type Kind = MailEvent['kind'] | undefined

/** By what of notifications is pushed: new mail and changes, changes, new mail, nothing. */
const KINDS: readonly [mailbox: string, events: string[], both: Kind, changes: Kind, newMail: Kind][] = [
  ['INBOX', ['MessageNew'], 'new', undefined, 'new'],
  ['InBox', ['MessageNew', 'FlagsSet'], 'new', 'change', 'new'],
  ['INBOX', ['MessageAppend'], 'change', 'change', undefined],
  ['INBOX', ['MessageExpunge'], 'change', 'change', undefined],
  ['inbox', ['FlagsClear', 'FlagsSet', 'MessageRead'], 'change', 'change', undefined],
  ['INBOX', [], undefined, undefined, undefined],
  ['Notes', ['FlagsSet'], undefined, undefined, undefined],
  ['Notes', ['MessageNew'], undefined, undefined, undefined],
]

for (const [mailbox, events, both, changes, newMail] of KINDS) {
  test(`[${events}] in ${mailbox} is ${both}, without new mail ${changes}, without changes ${newMail}`, () => {
    const kind = (notified: Notified) => kindOf({ mailbox, events }, notified)
    assert.equal(kind({ newMail: true, changes: true }), both)
    assert.equal(kind({ newMail: false, changes: true }), changes)
    assert.equal(kind({ newMail: true, changes: false }), newMail)
    assert.equal(kind({ newMail: false, changes: false }), undefined)
  })
}
