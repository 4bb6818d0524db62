/** What `xaps check` finds of the companion's Unix socket: whose it is, and whether Dovecot can connect to it. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { findGroup } from '../../../plugins/xaps/base/accounts.ts'
import { serve } from '../../e2e/run.ts'
import { type Directory, makeDirectory, type Sections } from '../../e2e/setup.ts'
import { listenLocally } from '../../support/loopback.ts'
import { owned } from '../../support/owned.ts'
import { processEntry } from '../../support/server.ts'
import { tempDirectory } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'
import { AS_NOBODY, check, finds, notRoot } from './findings.ts'

async function serving(t: TestContext, registration: Sections[string] = {}): Promise<Directory> {
  const here = await makeDirectory(t, { xaps: { registration } })
  owned(t, await serve(here.dir))
  return here
}

/** Another value of a key in xaps.ini. */
function set({ dir }: Directory, key: string, value: string): void {
  const file = path.join(dir, 'config', 'xaps.ini')
  const text = fs.readFileSync(file, 'utf8')
  const changed = text.replace(new RegExp(`^${key} *=.*$`, 'm'), `${key} = ${value}`)
  assert.notEqual(changed, text)
  fs.writeFileSync(file, changed)
}

test('a companion that is not there is a warning: it may not have been started yet', async t => {
  const here = await makeDirectory(t)
  await finds(here, 'warn', /companion at \S+ does not answer: .*ENOENT.*; is Haraka running\?$/)
  set(here, 'socket', '/nowhere/xapsd.sock')
  const { stdout } = await finds(
    here,
    'warn',
    /companion at \/nowhere\/xapsd\.sock .*no directory \/nowhere: start Dovecot/,
  )
  assert.doesNotMatch(stdout, /^ok +companion/m)
})

test('something else at the socket is found: an old xapsd, or one that never answers', async t => {
  const here = await makeDirectory(t)
  const refusing = await listenLocally(socket => socket.end('ERROR what?\r\n'), here.socket)
  await finds(
    here,
    'FAIL',
    /companion at \S+ does not answer: an unexpected answer.*stop it.*then restart Haraka$/,
  )
  await refusing.stop()
  owned(t, await listenLocally(socket => socket.resume(), here.socket))
  await finds(here, 'FAIL', /companion at \S+ does not answer: no answer within a second.*something else/)
})

test("the companion of another configuration is no companion of this one's", async t => {
  const other = await serving(t)
  const here = await makeDirectory(t, { xaps: { registration: { socket: other.socket } } })
  const { stdout } = await finds(
    here,
    'FAIL',
    /the companion at \S+ \(process \d+ of \S+\) is not this configuration's/,
  )
  assert.ok(stdout.includes(` of ${fs.realpathSync(other.dir)})`), stdout)
  await t.test('nor is one with another store', async () => {
    assert.equal((await check(other)).status, 0)
    fs.appendFileSync(path.join(other.dir, 'config', 'xaps.ini'), '\n[store]\nnamespace = another\n')
    await finds(other, 'FAIL', /the companion at \S+ .*restart it after a change/)
  })
})

test('a socket that Dovecot may not open is found, with the place and its mode', {
  skip: notRoot,
}, async t => {
  if (findGroup('dovecot') === undefined) return t.skip('not run: there is no group dovecot here')
  const here = await serving(t)
  assert.equal((await check(here)).status, 0)
  const may = (access: string) =>
    new RegExp(
      `Dovecot's imap and lmtp processes \\(group dovecot\\) may not open ${here.socket}: ${access}; set \\[registration\\] socket_group`,
    )
  fs.chownSync(here.socket, 0, 0)
  await finds(here, 'FAIL', may(`${here.socket} is srw-rw---- root:root`))
  fs.chownSync(here.socket, 0, findGroup('dovecot') ?? 0)
  fs.chmodSync(here.socket, 0o600)
  await finds(here, 'FAIL', may(`${here.socket} is srw------- root:dovecot`))
  fs.chmodSync(here.socket, 0o660)
  const above = path.dirname(here.socket)
  fs.chmodSync(above, 0o700)
  await finds(
    here,
    'FAIL',
    new RegExp(`Dovecot's .*: ${above} is drwx------ root:root; chmod o\\+x ${above}`),
  )
  fs.chownSync(above, 0, findGroup('dovecot') ?? 0)
  fs.chmodSync(above, 0o750)
  assert.equal((await check(here)).status, 0)
})

test("a group of the operator's own for the socket is the one that must reach it", {
  skip: notRoot,
}, async t => {
  const here = await serving(t, { socket_group: 'nogroup' })
  assert.equal((await check(here)).status, 0)
  fs.chownSync(here.socket, 0, 0)
  await finds(here, 'FAIL', /Dovecot's imap and lmtp processes \(group nogroup\) may not open/)
})

test('a companion that runs as another user than the owner of store and spool is found', {
  skip: notRoot,
}, async t => {
  const here = await serving(t)
  fs.writeFileSync(path.join(here.dir, 'config', 'smtp.ini'), AS_NOBODY)
  await finds(
    here,
    'warn',
    /the companion \(process \d+\) runs as root:root, but store and spool are for nobody:nogroup/,
  )
})

test('an xapsd beside the companion is found', async t => {
  const here = await serving(t)
  const { path: bin } = owned(t, tempDirectory())
  const xapsd = path.join(bin, 'xapsd')
  fs.symlinkSync(process.execPath, xapsd)
  const child = spawn(xapsd, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] })
  t.after(() => child.kill('SIGKILL'))
  const pid = child.pid ?? 0
  await until(() => processEntry(pid)?.command.startsWith(xapsd), 'it to run')
  await finds(
    here,
    'warn',
    new RegExp(`another daemon for XAPS runs here, process ${pid} \\(${xapsd} .*systemctl disable`),
  )
})

test('two companions of one directory are one too many', async t => {
  const here = await serving(t)
  set(here, 'socket', `${here.socket}2`)
  owned(t, await serve(here.dir))
  await finds(
    here,
    'FAIL',
    /2 companions run for \S+ \(processes \d+, \d+\), and one at most has the listeners/,
  )
})
