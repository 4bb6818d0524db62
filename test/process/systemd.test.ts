import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import { makeSystemd } from '../../plugins/xaps/process/systemd.ts'
import { heldClock, keptLog } from '../registration/tools.ts'
import { turns } from '../support/fake-clock.ts'
import { missing } from '../support/need.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'

/** Node cannot receive datagrams on a Unix socket; Python can. */
const RECEIVER = `
import socket, sys
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1])
print('bound', flush=True)
while True: print(receiver.recv(4096).decode().strip(), flush=True)`

function setup(env: NodeJS.ProcessEnv, fails = false) {
  const clock = heldClock()
  const log = keptLog()
  const sent: (readonly string[])[] = []
  const run = async (_: string, args: readonly string[]) => {
    sent.push(args)
    if (fails) throw new Error('spawn systemd-notify ENOENT')
  }
  return { clock, log, sent, systemd: makeSystemd(log, env, clock, run) }
}

test('a real receiver hears that the service is ready, alive and stopping', {
  skip: missing('systemd-notify', 'python3'),
}, async t => {
  const temp = tempDirectory()
  const socket = path.join(temp.path, 'notify')
  const receiver = spawn('python3', ['-c', RECEIVER, socket], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => {
    receiver.kill('SIGKILL')
    temp.remove()
  })
  let heard = ''
  receiver.stdout.on('data', chunk => {
    heard += chunk
  })
  await until(() => heard.includes('bound'), 'the receiver')

  const clock = heldClock()
  const log = keptLog()
  const env = { PATH: process.env.PATH, NOTIFY_SOCKET: socket, WATCHDOG_USEC: '30000000' }
  const systemd = makeSystemd(log, env, clock)
  await systemd.ready()
  await until(() => heard.includes('READY=1'), 'readiness')
  await clock.advance(15_000)
  await until(() => heard.includes('WATCHDOG=1'), 'the watchdog')
  await systemd.stopping()
  await until(() => heard.includes('STOPPING=1'), 'the end')
  assert.deepEqual(log.entries, [])
})

test('says nothing when systemd does not listen', async () => {
  const { systemd, sent, clock } = setup({ WATCHDOG_USEC: '1000000' })
  await systemd.ready()
  await clock.advance(10_000)
  await systemd.stopping()
  assert.deepEqual(sent, [])
})

test('shows that it is alive twice in the time of the watchdog, until it stops', async () => {
  const { systemd, sent, clock } = setup({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '10000000' })
  await systemd.ready()
  await clock.advance(20_000)
  assert.deepEqual(sent, [['READY=1'], ['WATCHDOG=1'], ['WATCHDOG=1'], ['WATCHDOG=1'], ['WATCHDOG=1']])
  await systemd.stopping()
  await clock.advance(20_000)
  assert.deepEqual(sent.slice(5), [['STOPPING=1']])
})

test('the watchdog of another process is not ours', async () => {
  const { systemd, sent, clock } = setup({
    NOTIFY_SOCKET: '/n',
    WATCHDOG_USEC: '10000000',
    WATCHDOG_PID: '1',
  })
  await systemd.ready()
  await clock.advance(20_000)
  assert.deepEqual(sent, [['READY=1']])
})

test('a failure is logged once and stops nothing', async () => {
  const { systemd, log, clock } = setup({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '10000000' }, true)
  await systemd.ready()
  await clock.advance(20_000)
  await systemd.stopping()
  await turns()
  assert.deepEqual(log.messages(), ['warn systemd could not be told'])
})
