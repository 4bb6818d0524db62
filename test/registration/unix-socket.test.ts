import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { bindUnixSocket, listenUnixSocket } from '../../plugins/xaps/registration/unix-socket.ts'
import { tempDirectory } from '../support/temp.ts'
import { exchange } from './tools.ts'

function setup(t: TestContext) {
  const temp = tempDirectory()
  t.after(() => temp.remove())
  return { directory: temp.path, file: path.join(temp.path, 'xapsd.sock') }
}

function greeter(t: TestContext, greeting: string): net.Server {
  // Whoever only tries whether somebody is there has left before the greeting.
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

test('makes the directory when that is all that is missing', t => {
  const { directory } = setup(t)
  const file = path.join(directory, 'dovecot', 'xapsd.sock')
  const socket = bindUnixSocket({ path: file, mode: 0o600 })
  t.after(() => socket.remove())
  assert.equal(lstatSync(path.dirname(file)).mode & 0o777, 0o755)
})

test('says what to do when the directory cannot be made', t => {
  const { directory } = setup(t)
  const file = path.join(directory, 'no', 'such', 'xapsd.sock')
  assert.throws(() => bindUnixSocket({ path: file, mode: 0o600 }), /no such directory.*start Dovecot first/)
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
