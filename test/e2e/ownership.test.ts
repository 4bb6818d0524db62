import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import { type Apple, startApple } from '../fake/apple/server.ts'
import { owned } from '../support/owned.ts'
import { startServer } from '../support/server.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { phoneOf, registerByLine } from './dovecot-plugins.ts'
import { XAPS, xaps } from './run.ts'
import { appleKeys, iniText, type Sections } from './setup.ts'

/** Debian's nobody and nogroup, and a user that has no name. */
const NOBODY = 65534
const OTHER = 12345

const skip = process.getuid?.() !== 0 && 'not run: only root can leave something of root behind'

const ALICE = phoneOf('alice@example.com')

interface Site {
  readonly dir: string
  readonly socket: string
  /** The owners of all that is below `names`, which are there. */
  owners(...names: string[]): number[]
}

async function site(t: TestContext, smtpIni: string, more: Sections = {}): Promise<Site> {
  const apple: Apple = await startApple()
  t.after(() => apple.close())
  const temp = owned(t, tempDirectory())
  const dir = path.join(temp.path, 'haraka')
  const socket = path.join(temp.path, 'xapsd.sock')
  mkdirSync(path.join(dir, 'config'), { recursive: true })
  writeFileSync(path.join(dir, 'config', 'smtp.ini'), smtpIni)
  const ini = { apns: appleKeys(apple, temp.path), registration: { socket }, ...more }
  writeFileSync(path.join(dir, 'config', 'xaps.ini'), iniText(ini))
  const ownerOf = (name: string) => statSync(path.join(dir, name)).uid
  const owners = (...names: string[]) =>
    names.flatMap(name => [
      ownerOf(name),
      ...readdirSync(path.join(dir, name)).map(file => ownerOf(path.join(name, file))),
    ])
  return { dir, socket, owners }
}

/** `xaps serve` by root, in which a phone registers. Resolves with the user that it runs as. */
async function served(t: TestContext, { dir, socket }: Site): Promise<number> {
  const serve = owned(t, startServer(process.execPath, [XAPS, '-c', dir, 'serve']))
  await serve.waitForOutput(/companion ready/)
  assert.equal(await until(() => registerByLine(socket, ALICE), 'a reply'), `OK ${MAIL_TOPIC}\r\n`)
  return Number(/^Uid:\t\d+\t(\d+)/m.exec(readFileSync(`/proc/${serve.pid}/status`, 'utf8'))?.[1])
}

test('xaps serve by root runs as the user of smtp.ini, and so is all it leaves behind', { skip }, async t => {
  const here = await site(t, 'user=nobody\ngroup=nogroup\n')
  assert.equal(await served(t, here), NOBODY)
  const owners = here.owners('xaps', 'xaps-spool')
  assert.deepEqual(
    owners,
    owners.map(() => NOBODY),
  )
})

test('without a user in smtp.ini it runs as the owner of the directory', { skip }, async t => {
  const here = await site(t, '')
  chownSync(here.dir, OTHER, OTHER)
  assert.equal(await served(t, here), OTHER)
  const owners = here.owners('xaps')
  assert.deepEqual(
    owners,
    owners.map(() => OTHER),
  )
})

test("where everything is root's it stays root", { skip }, async t => {
  assert.equal(await served(t, await site(t, '')), 0)
})

test("a registration that waits in the spool is that user's, too", { skip }, async t => {
  const here = await site(t, 'user=nobody\ngroup=nogroup\n', { store: { uri: 'redis://127.0.0.1:9' } })
  assert.equal(await served(t, here), NOBODY)
  const owners = here.owners('xaps-spool')
  assert.deepEqual(
    owners,
    owners.map(() => NOBODY),
  )
})

test('xaps import by root makes a store of that user', { skip }, async t => {
  const device = { user: ALICE.user, account: ALICE.account, token: ALICE.token, mailboxes: ['INBOX'] }
  for (const [smtpIni, owner] of [
    ['user=nobody\ngroup=nogroup\n', NOBODY],
    ['', OTHER],
  ] as const) {
    const here = await site(t, smtpIni)
    if (smtpIni === '') chownSync(here.dir, owner, owner)
    const file = path.join(here.dir, 'devices.jsonl')
    const seen = { registeredAt: new Date().toISOString(), lastSeen: new Date().toISOString() }
    const line = { ...device, ...seen, subtopic: 'com.apple.mobilemail', topic: MAIL_TOPIC }
    writeFileSync(file, `${JSON.stringify(line)}\n`)
    const { status, stderr } = await xaps(['-c', here.dir, 'import', file])
    assert.equal(status, 0, stderr)
    const owners = here.owners('xaps')
    assert.ok(owners.length >= 3)
    assert.deepEqual(
      owners,
      owners.map(() => owner),
      smtpIni,
    )
  }
})

test('xaps serve says whose the state is that it cannot use, and what mends it', { skip }, async t => {
  const here = await site(t, '')
  const temp = path.dirname(here.dir)
  chmodSync(temp, 0o777)
  for (const name of readdirSync(temp)) if (name !== 'haraka') chmodSync(path.join(temp, name), 0o644)
  mkdirSync(path.join(here.dir, 'xaps'), { mode: 0o700 })
  const child = spawn(process.execPath, [XAPS, '-c', here.dir, 'serve'], { uid: NOBODY, gid: NOBODY })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    said += text
  })
  const status = await new Promise(resolve => child.on('exit', resolve))
  assert.equal(status, 1, said)
  const store = path.join(here.dir, 'xaps')
  const mended = `${store} belongs to root:root, and this process, nobody:nogroup, may not write it: chown -R nobody:nogroup ${store}`
  assert.ok(said.includes(mended), said)
})
