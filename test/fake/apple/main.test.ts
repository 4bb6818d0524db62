import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { owned } from '../../support/owned.ts'
import { tempDirectory } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'
import { connect, PAYLOAD, push, TOKEN } from './bare-client.ts'

interface Running {
  readonly child: ChildProcess
  readonly directory: string
  output(): string
}

function start(t: TestContext, directory: string, ...options: string[]): Running {
  const main = path.join(__dirname, 'main.js')
  const child = spawn(process.execPath, [main, '--port', '0', '--dir', directory, ...options])
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (text += chunk))
  t.after(() => child.kill('SIGKILL'))
  return { child, directory, output: () => text }
}

/** The stand-in as the lines that it prints for xaps.ini describe it. */
async function printed({ output }: Running): Promise<{ value(key: string): string }> {
  await until(() => /^;topic = .+$/m.test(output()), 'the lines for xaps.ini')
  return { value: key => new RegExp(`^;?${key} = (.+)$`, 'm').exec(output())?.[1] ?? '' }
}

async function client({ value }: { value(key: string): string }) {
  const read = (key: string) => readFileSync(value(key), 'utf8')
  const pair = { certificate: read('certificate'), key: read('key') }
  return connect({ host: value('host'), port: Number(value('port')), ca: read('ca') }, pair)
}

async function stop({ child }: Running, signal: NodeJS.Signals): Promise<unknown> {
  const ended = once(child, 'exit')
  child.kill(signal)
  return (await ended)[0]
}

test('prints the lines for xaps.ini, then one line per push, and ends cleanly on SIGINT', async t => {
  const directory = owned(t, tempDirectory())
  const running = start(t, directory.path)
  const session = await client(await printed(running))
  assert.equal((await push(session, { headers: { 'apns-priority': '5' } })).status, 200)
  assert.equal((await push(session, { body: '' })).status, 400)
  const account = JSON.parse(PAYLOAD).aps['account-id']
  const line = `200 a1a1a1a1…a1a1 .+ background priority 5 account ${account} connection 1`
  await until(() => /400 PayloadEmpty/.test(running.output()), 'the line of the second push')
  assert.match(running.output(), new RegExp(`^\\d\\d:\\d\\d:\\d\\d\\.\\d{3} ${line}$`, 'm'))
  assert.ok(!running.output().includes(TOKEN))
  assert.equal(await stop(running, 'SIGINT'), 0)
  assert.match(running.output(), /1 of 2 pushes were accepted/)
  session.destroy()
})

test('keeps certificates and keys over a restart', async t => {
  const directory = owned(t, tempDirectory())
  const names = ['ca.pem', 'certificate.pem', 'key.pem', 'AuthKey.p8']
  const contents = () => names.map(name => readFileSync(path.join(directory.path, name), 'utf8'))
  const running = start(t, directory.path, '--topic', 'com.apple.mobilemail.push.org.example')
  await printed(running)
  const before = contents()
  await stop(running, 'SIGTERM')
  const again = start(t, directory.path)
  assert.equal((await printed(again)).value('topic'), 'com.apple.mobilemail.push.org.example')
  assert.deepEqual(contents(), before)
  await stop(again, 'SIGTERM')
})

test('starts with the fault that was asked for', async t => {
  const directory = owned(t, tempDirectory())
  const running = start(
    t,
    directory.path,
    '--reason',
    'TooManyRequests',
    '--retry-after',
    '3',
    '--times',
    '1',
  )
  const session = await client(await printed(running))
  const { status, headers } = await push(session)
  assert.deepEqual([status, headers['retry-after']], [429, '3'])
  assert.equal((await push(session)).status, 200)
  session.destroy()
  await stop(running, 'SIGTERM')
})

test('a reason that Apple does not have is misuse', async t => {
  const directory = owned(t, tempDirectory())
  const running = start(t, directory.path, '--reason', 'Tired')
  const [code] = await once(running.child, 'close')
  assert.notEqual(code, 0)
  assert.match(running.output(), /Expected one of .*Unregistered/)
})
