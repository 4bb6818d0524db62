import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfig } from '../../plugins/xaps/config/config.ts'
import { socketOwner } from '../../plugins/xaps/process/socket-owner.ts'
import { keptLog } from '../registration/tools.ts'

const isRoot = process.getuid?.() === 0

function owner(ini: string, dovecot: number | undefined) {
  const log = keptLog()
  const { registration } = parseConfig(`[registration]\n${ini}`, '/etc/haraka')
  return {
    ...socketOwner(registration, { uid: 65534, gid: 65533 }, log, () => dovecot),
    warnings: log.messages(),
  }
}

/** A group that this process may give something to. */
const OWN = process.getegid?.() ?? 0

test("the socket is Haraka's user's and Dovecot's group's where this process may give it", () => {
  assert.deepEqual(owner('', OWN), { uid: 65534, gid: OWN, warnings: [] })
})

test('root may give it to any group', { skip: !isRoot && 'needs root' }, () => {
  assert.deepEqual(owner('', 4711), { uid: 65534, gid: 4711, warnings: [] })
})

test('a user and group that are configured win', () => {
  assert.deepEqual(owner('socket_user = root\nsocket_group = 12', OWN), { uid: 0, gid: 12, warnings: [] })
})

test("without Dovecot's group it is Haraka's, and one warning says what to do", () => {
  const { gid, warnings } = owner('', undefined)
  assert.equal(gid, 65533)
  assert.equal(warnings.length, 1)
  assert.match(warnings[0] ?? '', /^warn .*no group dovecot; set \[registration\] socket_group/)
})

test('no warning where there is no socket, or everybody may open it', () => {
  for (const ini of ['socket =', 'socket_mode = 0666']) assert.deepEqual(owner(ini, undefined).warnings, [])
})
