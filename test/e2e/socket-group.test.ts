import assert from 'node:assert/strict'
import { chownSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { findGroup } from '../../plugins/xaps/base/accounts.ts'
import { startDovecot } from '../support/dovecot.ts'
import { PASSWORD } from '../support/dovecot-conf.ts'
import { owned } from '../support/owned.ts'
import { descendantsOf } from '../support/server.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { phoneOf, registerByLine } from './dovecot-plugins.ts'
import { run } from './run.ts'
import { startSite } from './setup.ts'

const skip = process.getuid?.() !== 0 && 'not run: only root can start a Haraka that drops its privileges'

/** A mail user that is neither Haraka's nor in any group of the system. */
const MAIL_USER = 12345
const NOBODY = 65534

const ALICE = 'alice@example.com'

/** Connects to a socket with the ids given, as a process of its own, and prints whether that went well. */
const CONNECT = `
import os, socket, sys
uid, gid, groups, path = sys.argv[1:]
os.setgroups([int(group) for group in groups.split()])
os.setgid(int(gid))
os.setuid(int(uid))
try:
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect(path)
    print('connected')
except OSError as error:
    print(error)`

test("by default an imap process of Dovecot's can open the socket of a Haraka that dropped to nobody", {
  skip,
}, async t => {
  const { socket } = await droppedSite(t)
  const imap = await imapProcess(t)
  assert.equal(imap.uid, MAIL_USER)
  const { uid, gid, mode } = statSync(socket)
  assert.deepEqual([uid, gid, mode & 0o777], [NOBODY, findGroup('dovecot'), 0o660])
  assert.equal(await connected(imap, socket), 'connected\n')
  assert.match(await connected({ ...imap, groups: '' }, socket), /Permission denied/)
})

test("a directory of Dovecot's that is not there is waited for, and stays Dovecot's", { skip }, async t => {
  const temp = owned(t, tempDirectory())
  const directory = path.join(temp.path, 'dovecot')
  const site = await droppedSite(t, path.join(directory, 'xapsd.sock'), false)
  await site.waitForLog(/no such directory: start Dovecot/)
  assert.equal(existsSync(directory), false)
  mkdirSync(directory, 0o755)
  const reply = await until(() => registerByLine(site.socket, phoneOf(ALICE)), 'the companion')
  assert.match(reply, /^OK ./)
  const { uid, gid, mode } = statSync(directory)
  assert.deepEqual([uid, gid, mode & 0o777], [0, 0, 0o755])
})

async function droppedSite(t: TestContext, socket?: string, companion = true) {
  const xaps = socket === undefined ? {} : { registration: { socket } }
  return startSite(t, { nodes: 1, user: 'nobody', group: 'nogroup', xaps, companion })
}

interface Ids {
  readonly uid: number
  readonly gid: number
  readonly groups: string
}

/** The ids of a real imap process with a user logged in. */
async function imapProcess(t: TestContext): Promise<Ids> {
  const config = `mail_uid = ${MAIL_USER}\nmail_gid = ${MAIL_USER}`
  const dovecot = owned(t, await startDovecot({ users: [ALICE], imap: true, config }))
  chownSync(path.join(dovecot.dir, 'mail'), MAIL_USER, MAIL_USER)
  const client = net.connect(dovecot.imapPort, '127.0.0.1')
  t.after(() => client.destroy())
  let said = ''
  client.setEncoding('utf8').on('data', text => {
    said += text
  })
  client.write(`1 LOGIN ${ALICE} ${PASSWORD}\r\n`)
  await until(() => /^1 OK/m.test(said), `the login:\n${said}${dovecot.log()}`)
  const imap = descendantsOf(process.pid).find(({ command }) => /\bimap$/.test(command))
  return idsOf(imap?.pid ?? 0)
}

function idsOf(pid: number): Ids {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const effective = (name: string) => Number(new RegExp(`^${name}:\\t\\d+\\t(\\d+)`, 'm').exec(status)?.[1])
  const [, groups = ''] = /^Groups:\t(.*)$/m.exec(status) ?? []
  return { uid: effective('Uid'), gid: effective('Gid'), groups: groups.trim() }
}

async function connected({ uid, gid, groups }: Ids, socket: string): Promise<string> {
  const { stdout, stderr } = await run('python3', ['-c', CONNECT, String(uid), String(gid), groups, socket])
  return stdout + stderr
}
