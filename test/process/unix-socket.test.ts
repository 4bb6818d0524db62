import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { bindUnixSocket, listenUnixSocket } from '../../plugins/xaps/process/unix-socket.ts'
import { exchange } from '../registration/tools.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'

/** Debian's nobody. */
const NOBODY = 65534

const notRoot = process.getuid?.() !== 0 && 'not run: only root can be misled'

/** Makes the directory that it is given first, and a link to the second in its place, over and over. */
const SWAP = 'while :; do mkdir "$1"; mkdir "$1/.x"; rm -rf "$1"; ln -s "$2" "$1"; rm -f "$1"; done'

function setup(t: TestContext) {
  const temp = tempDirectory()
  t.after(() => temp.remove())
  return { directory: temp.path, file: path.join(temp.path, 'xapsd.sock') }
}

function greeter(t: TestContext, greeting: string): net.Server {
  // A client that only tries whether the socket is served has left before the greeting.
  const server = net.createServer(socket => void socket.on('error', () => socket.destroy()).end(greeting))
  t.after(() => server.close())
  return server
}

/** A socket file whose process was killed. */
function leaveStale(file: string): void {
  const script = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`
  assert.throws(() => execFileSync(process.execPath, ['-e', script, file]))
  assert.ok(lstatSync(file).isSocket())
}

test('listens at its path with its mode, and leaves nothing else there', async t => {
  const { directory, file } = setup(t)
  const socket = await listenUnixSocket(greeter(t, 'hello'), { path: file, mode: 0o660 })
  assert.equal(lstatSync(file).mode & 0o777, 0o660)
  assert.deepEqual(readdirSync(directory), ['xapsd.sock'])
  assert.equal(await exchange({ path: file }, ''), 'hello')
  socket.remove()
  assert.deepEqual(readdirSync(directory), [])
})

test('gives the socket to its user and group', {
  skip: process.getuid?.() !== 0 && 'needs root',
}, async t => {
  const { file } = setup(t)
  const socket = bindUnixSocket({ path: file, mode: 0o600, uid: 12345, gid: 23456 })
  t.after(() => socket.remove())
  const { uid, gid, mode } = lstatSync(file)
  assert.deepEqual([uid, gid, mode & 0o777], [12345, 23456, 0o600])
})

test('replaces what a killed process left', async t => {
  const { file } = setup(t)
  leaveStale(file)
  await listenUnixSocket(greeter(t, 'new'), { path: file, mode: 0o600 })
  assert.equal(await exchange({ path: file }, ''), 'new')
})

test('never takes over a socket that is served', async t => {
  const { directory, file } = setup(t)
  await listenUnixSocket(greeter(t, 'first'), { path: file, mode: 0o600 })
  const options = { path: file, mode: 0o600 }
  assert.throws(() => bindUnixSocket(options), /xapsd\.sock: another process serves it/)
  await assert.rejects(listenUnixSocket(greeter(t, 'second'), options), /another process serves it/)
  assert.equal(await exchange({ path: file }, ''), 'first')
  assert.deepEqual(readdirSync(directory), ['xapsd.sock'])
})

test('leaves a file alone that is no socket', t => {
  const { file } = setup(t)
  writeFileSync(file, 'precious')
  assert.throws(() => bindUnixSocket({ path: file, mode: 0o600 }), /not a socket; it was left alone/)
  assert.ok(lstatSync(file).isFile())
})

test('never makes the directory, and says what to do', async t => {
  const { directory } = setup(t)
  const file = path.join(directory, 'dovecot', 'xapsd.sock')
  const options = { path: file, mode: 0o600 }
  assert.throws(() => bindUnixSocket(options), /dovecot: there is no such directory: start Dovecot/)
  await assert.rejects(listenUnixSocket(greeter(t, ''), options), /no such directory/)
  assert.deepEqual(readdirSync(directory), [])
})

test('changes nothing of the directory', t => {
  const { directory, file } = setup(t)
  const before = statSync(directory)
  const socket = bindUnixSocket({ path: file, mode: 0o666, uid: NOBODY, gid: NOBODY })
  t.after(() => socket.remove())
  const { uid, gid, mode } = statSync(directory)
  assert.deepEqual([uid, gid, mode], [before.uid, before.gid, before.mode])
})

test('as root refuses a directory that others can write, unless it is sticky', { skip: notRoot }, t => {
  const { directory } = setup(t)
  const run = path.join(directory, 'run')
  const file = path.join(run, 'below', 'xapsd.sock')
  mkdirSync(path.dirname(file), { recursive: true })
  const bind = () => bindUnixSocket({ path: file, mode: 0o600 })
  chownSync(run, NOBODY, NOBODY)
  assert.throws(bind, /run belongs to user 65534, so root makes no socket there: make it root's/)
  chownSync(run, 0, NOBODY)
  chmodSync(run, 0o775)
  assert.throws(bind, /run can be written by others than root/)
  assert.deepEqual(readdirSync(path.dirname(file)), [])
  chmodSync(run, 0o1775)
  bind().remove()
})

test('finds the directory behind a link of root, as /var/run is one', { skip: notRoot }, t => {
  const { directory, file } = setup(t)
  symlinkSync(directory, `${directory}.link`)
  t.after(() => rmSync(`${directory}.link`))
  const socket = bindUnixSocket({ path: path.join(`${directory}.link`, 'xapsd.sock'), mode: 0o600 })
  assert.ok(lstatSync(file).isSocket())
  socket.remove()
  assert.equal(existsSync(file), false)
})

/**
 * The attack: the owner of the directory makes a link of it, or of its content, just when root works there. A process of
 * that user does so all the time; a file of root's is where the links lead.
 */
test('as root changes nothing outside, whatever the owner of a directory does with it meanwhile', {
  skip: notRoot,
}, async t => {
  const { directory } = setup(t)
  const secret = path.join(directory, 'root-only')
  mkdirSync(secret)
  const target = path.join(secret, 's')
  writeFileSync(target, 'secret', { mode: 0o600 })
  const home = path.join(directory, 'home')
  mkdirSync(home)
  chownSync(home, NOBODY, NOBODY)
  const run = path.join(home, 'run')
  const swapper = spawn('/bin/sh', ['-c', SWAP, 'swap', run, secret], {
    uid: NOBODY,
    gid: NOBODY,
    stdio: 'ignore',
  })
  t.after(() => swapper.kill('SIGKILL'))
  await until(() => existsSync(run), 'the directory')
  const refusals = new Map<string, number>()
  for (let round = 0; round < 2_000; round += 1) {
    try {
      bindUnixSocket({ path: path.join(run, 'xapsd.sock'), mode: 0o666, uid: NOBODY, gid: NOBODY }).remove()
      assert.fail('root has made a socket there')
    } catch (error) {
      const [reason = ''] =
        /belongs to user|no such directory|root has made|ELOOP|ENOTDIR|can be written/.exec(
          String(error),
        ) ?? [String(error)]
      refusals.set(reason, (refusals.get(reason) ?? 0) + 1)
    }
  }
  const { uid, gid, mode } = statSync(target)
  assert.deepEqual([uid, gid, mode & 0o777], [0, 0, 0o600])
  assert.equal(statSync(secret).uid, 0)
  assert.deepEqual(readdirSync(secret), ['s'])
  assert.equal(refusals.get('root has made'), undefined)
  assert.ok(refusals.get('belongs to user'), [...refusals].join('; '))
})

test('says so when the path is longer than a socket can have', t => {
  const { directory } = setup(t)
  const file = path.join(directory, 'x'.repeat(100))
  assert.throws(() => bindUnixSocket({ path: file, mode: 0o600 }), /longer than the 107 bytes/)
})

test('removes the file at its path only while it is its own', async t => {
  const { file } = setup(t)
  const first = await listenUnixSocket(greeter(t, 'first'), { path: file, mode: 0o600 })
  renameSync(file, `${file}.old`)
  await listenUnixSocket(greeter(t, 'second'), { path: file, mode: 0o600 })
  first.remove()
  first.remove()
  assert.equal(await exchange({ path: file }, ''), 'second')
})

test('a child listens on the socket that its parent bound, and clients wait while it is restarted', async t => {
  const { file } = setup(t)
  const socket = bindUnixSocket({ path: file, mode: 0o600 })
  const script = `require('net').createServer(c => { c.resume().end('child'); c.on('close', () => process.exit()) })
    .listen({ fd: 3 }, () => process.stdout.write('listening'))`
  const start = async () => {
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit', socket.fd] })
    t.after(() => child.kill('SIGKILL'))
    const ended = new Promise(resolve => child.on('exit', resolve))
    await new Promise(resolve => child.stdout?.once('data', resolve))
    return { ended }
  }
  const first = await start()
  assert.equal(await exchange({ path: file }, ''), 'child')
  await first.ended
  const waiting = exchange({ path: file }, '')
  const second = await start()
  assert.equal(await waiting, 'child')
  await second.ended
  socket.remove()
  assert.equal(existsSync(file), false)
})

test('leaves nothing behind when the socket cannot be put in place', t => {
  const { directory, file } = setup(t)
  mkdirSync(file)
  assert.throws(() => bindUnixSocket({ path: file, mode: 0o600 }))
  assert.deepEqual(readdirSync(directory), ['xapsd.sock'])
})

test('a message names the setting whose socket it is', () => {
  const at = (key?: string) => () => bindUnixSocket({ path: '/no/such/directory/s', mode: 0o600, key })
  assert.throws(at(), /or set \[registration\] socket to another path/)
  assert.throws(at('[delivery] events_socket'), /or set \[delivery\] events_socket to another path/)
})
