/** Commands that root runs: their process and all they leave behind belong to the user that Haraka runs as. */

import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import { missing } from '../support/need.ts'
import { owned } from '../support/owned.ts'
import { idsOf } from '../support/server.ts'
import { until } from '../support/wait.ts'
import { phoneOf, registerByLine } from './dovecot-plugins.ts'
import { asIds, run, serve, XAPS } from './run.ts'
import { type Directory, makeDirectory, OK, type Sections } from './setup.ts'

/** Debian's nobody and nogroup, and a user that has no name. */
const NOBODY = 65534
const OTHER = 12345

const skip = process.getuid?.() !== 0 && 'not run: only root can leave something of root behind'

const ALICE = phoneOf('alice@example.com')

/** A directory with nobody in its smtp.ini, or that OTHER owns, or that is root's. */
async function directoryFor(t: TestContext, user: number, xaps: Sections = {}): Promise<Directory> {
  const smtpIni = user === NOBODY ? 'user=nobody\ngroup=nogroup\n' : ''
  const here = await makeDirectory(t, { smtpIni, xaps })
  if (user === OTHER) chownSync(here.dir, OTHER, OTHER)
  return here
}

/** The owners of `names` in the directory and of all in them, each once. */
function ownersOf({ dir }: Directory, ...names: string[]): number[] {
  const inside = names.flatMap(name => readdirSync(path.join(dir, name)).map(file => path.join(name, file)))
  assert.ok(inside.length > 0, `no file in ${names}`)
  return [...new Set([...names, ...inside].map(file => statSync(path.join(dir, file)).uid))]
}

/** `xaps serve` by root, in which a phone registers. Resolves with the user that it runs as. */
async function servedBy(t: TestContext, { dir, socket }: Directory): Promise<number> {
  const { pid } = owned(t, await serve(dir))
  // Refused until the store is open.
  await until(async () => (await registerByLine(socket, ALICE)) === OK, 'the registration to be taken')
  return idsOf(pid).uid
}

const AWAY: Sections = { store: { uri: 'redis://127.0.0.1:9' } }

for (const [what, user, xaps, left] of [
  ['runs as the user of smtp.ini, and so is its store', NOBODY, {}, ['xaps', 'xaps-spool']],
  ['runs as the owner of the directory where smtp.ini names no user', OTHER, {}, ['xaps']],
  ["stays root where everything is root's", 0, {}, ['xaps']],
  ['runs as the user of smtp.ini, and so is a registration in the spool', NOBODY, AWAY, ['xaps-spool']],
] as const) {
  test(`xaps serve by root ${what}`, { skip }, async t => {
    const here = await directoryFor(t, user, xaps)
    assert.equal(await servedBy(t, here), user)
    assert.deepEqual(ownersOf(here, ...left), [user])
  })
}

for (const user of [NOBODY, OTHER]) {
  test(`xaps import by root makes a store of the user ${user}`, { skip }, async t => {
    const here = await directoryFor(t, user)
    const file = path.join(here.dir, 'devices.jsonl')
    const now = new Date().toISOString()
    const seen = { registeredAt: now, lastSeen: now }
    const device = { ...ALICE, ...seen, mailboxes: ['INBOX'], subtopic: 'com.apple.mobilemail' }
    writeFileSync(file, `${JSON.stringify({ ...device, topic: MAIL_TOPIC })}\n`)
    const { status, stderr } = await here.xaps('import', file)
    assert.equal(status, 0, stderr)
    assert.deepEqual(ownersOf(here, 'xaps'), [user])
  })
}

test('xaps serve says whose the state is that it cannot use, and what mends it', {
  skip: skip || missing('setpriv'),
}, async t => {
  const here = await directoryFor(t, 0)
  chmodSync(path.dirname(here.dir), 0o777)
  chmodSync(here.keys, 0o755)
  for (const name of readdirSync(here.keys)) chmodSync(path.join(here.keys, name), 0o644)
  const store = path.join(here.dir, 'xaps')
  mkdirSync(store, { mode: 0o700 })
  const nobody = asIds({ uid: NOBODY, gid: NOBODY, groups: [] })
  const args = [...nobody, process.execPath, XAPS, '-c', here.dir, 'serve']
  const { status, stderr } = await run('setpriv', args)
  assert.equal(status, 1, stderr)
  const mended = `${store} belongs to root:root, and this process, nobody:nogroup, may not write it: chown -R nobody:nogroup ${store}`
  assert.ok(stderr.includes(mended), stderr)
})
