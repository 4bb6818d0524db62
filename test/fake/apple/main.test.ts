import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { run } from '../../e2e/run.ts'
import { owned } from '../../support/owned.ts'
import { type ServerProcess, startServer } from '../../support/server.ts'
import { tempDirectory } from '../../support/temp.ts'
import { connect, PAYLOAD, push, TOKEN } from './bare-client.ts'

const MAIN = path.join(__dirname, 'main.js')

/** The stand-in, which keeps its files in `directory` and ends with the test. */
function start(t: TestContext, directory: string, ...options: string[]): ServerProcess {
  return owned(t, startServer(process.execPath, [MAIN, '--port', '0', '--dir', directory, ...options]))
}

/** Reads keys of xaps.ini from what the stand-in prints. */
async function printed(apple: ServerProcess): Promise<(key: string) => string> {
  const lines = await apple.waitForOutput(/^;topic = .+$/m)
  return key => new RegExp(`^;?${key} = (.+)$`, 'm').exec(lines)?.[1] ?? ''
}

async function clientOf(apple: ServerProcess) {
  const value = await printed(apple)
  const read = (key: string) => readFileSync(value(key), 'utf8')
  const pair = { certificate: read('certificate'), key: read('key') }
  return connect({ host: value('host'), port: Number(value('port')), ca: read('ca') }, pair)
}

test('it prints the lines for xaps.ini, then one line per push, and a sum on SIGINT', async t => {
  const apple = start(t, owned(t, tempDirectory()).path)
  const session = await clientOf(apple)
  assert.equal((await push(session, { headers: { 'apns-priority': '5' } })).status, 200)
  assert.equal((await push(session, { body: '' })).status, 400)
  const account = JSON.parse(PAYLOAD).aps['account-id']
  const line = `200 a1a1a1a1…a1a1 .+ background priority 5 account ${account} connection 1`
  await apple.waitForOutput(/400 PayloadEmpty/)
  assert.match(apple.output(), new RegExp(`^\\d\\d:\\d\\d:\\d\\d\\.\\d{3} ${line}$`, 'm'))
  assert.ok(!apple.output().includes(TOKEN))
  assert.equal(await apple.end('SIGINT'), 0)
  assert.match(apple.output(), /1 of 2 pushes were accepted/)
  session.destroy()
})

test('certificates and keys are kept over a restart', async t => {
  const { path: directory } = owned(t, tempDirectory())
  const names = ['ca.pem', 'certificate.pem', 'key.pem', 'AuthKey.p8']
  const contents = () => names.map(name => readFileSync(path.join(directory, name), 'utf8'))
  const first = start(t, directory, '--topic', 'com.apple.mobilemail.push.org.example')
  await printed(first)
  const before = contents()
  await first.end('SIGTERM')
  const value = await printed(start(t, directory))
  assert.equal(value('topic'), 'com.apple.mobilemail.push.org.example')
  assert.deepEqual(contents(), before)
})

test('it starts with the fault that was asked for', async t => {
  const fault = '--reason TooManyRequests --retry-after 3 --times 1'.split(' ')
  const session = await clientOf(start(t, owned(t, tempDirectory()).path, ...fault))
  const { status, headers } = await push(session)
  assert.deepEqual([status, headers['retry-after']], [429, '3'])
  assert.equal((await push(session)).status, 200)
  session.destroy()
})

test('a reason that Apple does not have is misuse', async t => {
  const directory = owned(t, tempDirectory())
  const { status, stderr } = await run(process.execPath, [MAIN, '--dir', directory.path, '--reason', 'Tired'])
  assert.notEqual(status, 0)
  assert.match(stderr, /Expected one of .*Unregistered/)
})
