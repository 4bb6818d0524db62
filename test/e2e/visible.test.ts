/** Names and words of others that steer a terminal or hide: real log, real command, never a raw byte of them. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import type net from 'node:net'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Reason } from '../fake/apple/reasons.ts'
import { listenLocally } from '../support/loopback.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'
import { onTerminal } from '../support/terminal.ts'
import { ask, phoneOf, registerByLine } from './dovecot-plugins.ts'
import { type Ended, XAPS } from './run.ts'
import { startSite } from './setup.ts'

/** A right-to-left override and a zero-width space; the sequence that paints a terminal red. */
const HIDDEN = '\u202e\u200b'
const RED = '\x1b[31m'

/** The user and its domain: a log masks all of a name but its domain. */
const EVE = phoneOf(`eve${HIDDEN}@gro.elpmaxe${HIDDEN}`)
const REASON = `Nope${RED}${HIDDEN}`

test('names and words of others are visible in the log and in the command', async t => {
  const users = { dovecot_userdb: await userdbThatAnswers(t, EVE.user) }
  const site = await startSite(t, { xaps: { users, push: { window: 0 } } })

  await t.test('a registration with such a user, account id and mailbox is taken', async () => {
    const account = `${EVE.account}${HIDDEN}`
    const mailbox = (line: string) => line.replace('"Notes"', `"Notes${RED}${HIDDEN}"`)
    assert.match(await registerByLine(site.socket, { ...EVE, account }, mailbox), /^OK ./)
  })
  await t.test('devices shows the names', async () => {
    const words = [process.execPath, XAPS, '-c', site.dir, 'devices']
    const { stdout } = shownWell(await onTerminal(t, words, { columns: 300, env: { NO_COLOR: '1' } }))
    assert.ok(stdout.includes('eve\\u202e\\u200b@gro.elpmaxe\\u202e\\u200b'), stdout)
    assert.ok(stdout.includes('Notes\\u001b[31m\\u202e\\u200b'), stdout)
  })
  for (const [what, ...args] of [
    ['all devices', 'devices', '--json'],
    ['the devices of the user', 'devices', EVE.user, '--json'],
    ['an export', 'export'],
  ]) {
    await t.test(`${what} as JSON have the same names`, async () => {
      const { user, mailboxes } = JSON.parse(shownWell(await site.xaps(...args)).stdout)
      assert.equal(user, EVE.user)
      assert.ok(mailboxes.includes(`Notes${RED}${HIDDEN}`))
    })
  }
  await t.test('explain shows the name that Dovecot answers', async () => {
    const { stdout } = shownWell(await site.xaps('explain', 'eve@example.com'))
    assert.match(stdout, /^ok +user: eve\\u202e\\u200b@/m)
    assert.match(stdout, /^ok +device .*: pushed$/m)
  })
  await t.test('Haraka’s log has the user that was pushed', async () => {
    await site.mail('eve@example.com')
    await site.pushed(1)
    const log = await site.waitForLog(/push accepted by Apple.*/)
    assert.match(log, /push accepted by Apple.*e\*\*\*@gro\.elpmaxe\\+u202e\\+u200b/)
  })
  await t.test('Haraka’s log has what the companion refused, and whose it was', async () => {
    await ask({ path: site.socket }, `NOTIFY dovecot-username="${EVE.user}"\tdovecot-mailbox="a\rb"\r\n`)
    await site.waitForLog(/a request was refused.*gro\.elpmaxe\\u202e\\u200b/)
  })
  await t.test('push and Haraka’s log have Apple’s word', async () => {
    site.apple.faults.answer(REASON as Reason, { status: 403 })
    const { stdout } = shownWell(await site.xaps('push', EVE.user))
    assert.match(stdout, /refused: Nope\\u001b\[31m\\u202e\\u200b$/m)
    await site.mail('eve@example.com')
    await site.waitForLog(/Apple refuses our pushes.*Nope\\+u001b\[31m\\+u202e\\+u200b/)
  })
  await t.test('errors and misuse name what was given', async () => {
    const failed = shownWell(await site.xaps('push', `nobody${RED}`))
    assert.match(failed.stderr, /^xaps: nobody\\u001b\[31m: no device$/m)
    const misused = shownWell(await site.xaps('devices\u200b'))
    assert.deepEqual([misused.status, misused.stderr.includes('devices\\u200b')], [2, true], misused.stderr)
    assert.match(misused.stderr, /'\n\(Did you mean devices\?\)\n/)
  })
  await t.test('import names what it skips', async () => {
    const file = path.join(site.dir, 'devices.jsonl')
    writeFileSync(file, `${JSON.stringify({ user: `mallory${RED}${HIDDEN}`, account: 'a', token: 'zz' })}\n`)
    const { stderr } = shownWell(await site.xaps('import', file))
    assert.ok(stderr.includes('skipped mallory\\u001b[31m\\u202e\\u200b'), stderr)
  })
  await t.test('no raw one of them is in Haraka’s log', () => assert.deepEqual(rawIn(site.log()), []))
})

/** The same, after a look at both of its outputs. */
function shownWell(ended: Ended): Ended {
  assert.deepEqual(rawIn(ended.stdout + ended.stderr), [])
  return ended
}

function rawIn(text: string): string[] {
  return [...HIDDEN, '\x1b'].filter(character => text.includes(character))
}

/** A userdb that answers each question with `name`; its socket. */
async function userdbThatAnswers(t: TestContext, name: string): Promise<string> {
  const file = path.join(owned(t, tempDirectory()).path, 'auth-userdb')
  const serve = (socket: net.Socket) => {
    socket.write('VERSION\t1\t1\nSPID\t1\n')
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      for (const [, id] of chunk.matchAll(/^USER\t(\d+)/gm)) socket.write(`USER\t${id}\t${name}\n`)
    })
  }
  owned(t, await listenLocally(serve, file))
  return file
}
