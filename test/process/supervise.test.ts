import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { type TestContext, test } from 'node:test'
import type { Clock } from '../../plugins/xaps/base/clock.ts'
import { EXIT_AFTER_MS, KILL_AFTER_MS } from '../../plugins/xaps/base/limits.ts'
import { CHANNEL_FD, linkToParent } from '../../plugins/xaps/process/parent-link.ts'
import { type SuperviseOptions, supervise } from '../../plugins/xaps/process/supervise.ts'
import { heldClock, keptLog } from '../registration/tools.ts'
import { turns } from '../support/fake-clock.ts'
import { processEntry } from '../support/server.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const SUPERVISE = require.resolve('../../plugins/xaps/process/supervise.js')
const PARENT_LINK = require.resolve('../../plugins/xaps/process/parent-link.js')

/** A child that ends when its parent does, and answers it. */
const LIVES = `require(${JSON.stringify(PARENT_LINK)}).linkToParent().endWithParent(async () => {})`

/** A child that hears nothing, and lives until it is killed. */
const DEAF = 'setInterval(() => {}, 1000)'

function setup(t: TestContext, script: string, options: Partial<SuperviseOptions> = {}) {
  const clock = heldClock()
  const log = keptLog()
  const started: (ChildProcess | undefined)[] = []
  const watched = ((...args: Parameters<typeof spawn>) => {
    const child = spawn(...args)
    started.push(child)
    return child
  }) as typeof spawn
  const child = supervise(
    { command: process.execPath, args: ['-e', script], ...options },
    log,
    clock,
    watched,
  )
  t.after(async () => {
    for (const one of started) one?.kill('SIGKILL')
    await child.stop()
  })
  /** Resolves when there have been `count` starts, the last child has ended and its restart is due; with the pause. */
  const ended = (count: number): Promise<{ pause: number }> =>
    until(() => {
      const over = started.length === count && child.pid === undefined && clock.next !== undefined
      return over ? { pause: Number(clock.next) } : undefined
    }, `death ${count}`)
  return { clock, log, started, child, ended }
}

test('starts a child that has ended again: at once, then after 0.5 s and twice as long each time, to 15 s', async t => {
  const { clock, child, ended } = setup(t, 'process.exit(3)')
  const pauses: unknown[] = []
  for (let death = 1; death <= 8; death += 1) {
    const { pause } = await ended(death)
    pauses.push(pause)
    await clock.advance(pause)
  }
  assert.deepEqual(pauses, [0, 500, 1000, 2000, 4000, 8000, 15_000, 15_000])
  await child.stop()
})

test('a child that was killed after a good life is back at once again', async t => {
  const { clock, child, ended } = setup(t, LIVES)
  for (let death = 1; death <= 3; death += 1) {
    await until(() => child.pid, 'the child')
    await clock.advance(1_000)
    process.kill(Number(child.pid), 'SIGKILL')
    assert.deepEqual(await ended(death), { pause: 0 })
    await clock.advance(0)
  }
})

test('logs once that the child is gone, and once that it is up', async t => {
  const { clock, log, child, ended, started } = setup(t, LIVES)
  await until(() => child.pid, 'the child')
  await clock.advance(1_000)
  for (let death = 1; death <= 3; death += 1) {
    process.kill(Number(child.pid), 'SIGKILL')
    const { pause } = await ended(death)
    await clock.advance(pause)
  }
  await until(() => started.length === 4 && child.pid, 'the fourth child')
  await clock.advance(1_000)
  assert.deepEqual(log.messages(), [
    'notice companion is up',
    'error companion is gone, starting it again',
    'notice companion is up',
  ])
  assert.equal(log.entries[1]?.fields.reason, 'SIGKILL')
})

test('passes on what the child logs, at its level', async t => {
  const { log } = setup(
    t,
    `process.stderr.write('<3>bad\\n<6>fine\\nplain'); ${LIVES}; setTimeout(process.exit, 10)`,
  )
  await until(() => log.messages().includes('warn plain'), 'the last line')
  assert.deepEqual(log.messages().slice(0, 2), ['error bad', 'info fine'])
})

test('a line without end takes bounded memory', async t => {
  const { log } = setup(t, `process.stderr.write('x'.repeat(1e6) + '\\n<6>after\\n'); ${LIVES}`)
  await until(() => log.messages().includes('info after'), 'the line after it')
  assert.equal(log.entries[0]?.message.length, 8192)
})

test('the child gets little of the environment, and what it is given', async t => {
  process.env.XAPS_TEST_SECRET = 'secret'
  t.after(() => delete process.env.XAPS_TEST_SECRET)
  const script = `process.stderr.write('<6>' + JSON.stringify(process.env) + '\\n'); ${LIVES}`
  const { log } = setup(t, script, { env: { HARAKA: '/etc/haraka' } })
  const line = await until(() => log.entries[0]?.message, 'the environment')
  const env = JSON.parse(line)
  assert.equal(env.HARAKA, '/etc/haraka')
  assert.equal(env.PATH, process.env.PATH)
  assert.equal('XAPS_TEST_SECRET' in env, false)
})

test('the child runs as the user and group that it is given', {
  skip: process.getuid?.() !== 0 && 'needs root',
}, async t => {
  // A shell, because the Node that runs the tests may lie where only root can start it.
  const script = 'echo "<6>$(id -u),$(id -g),$(id -G)" >&2; sleep 60'
  const child = { command: '/bin/sh', args: ['-c', script], uid: 65534, gid: 65534 }
  const { log } = setup(t, LIVES, child)
  await until(() => log.entries[0], 'what the child says')
  assert.deepEqual(log.messages(), ['info 65534,65534,65534'])
})

test('a command that cannot be started is tried again', async t => {
  const { clock, log, child } = setup(t, '', { command: '/no/such/command' })
  await until(() => clock.next === 0, 'the first failure')
  assert.match(String(log.entries[0]?.fields.reason), /ENOENT/)
  await clock.advance(0)
  await until(() => clock.next === 500, 'the second failure')
  assert.equal(child.pid, undefined)
  await child.stop()
  assert.equal(clock.next, undefined)
})

test('a start that throws is tried again', async t => {
  const clock = heldClock()
  const log = keptLog()
  const throws = (() => {
    throw new Error('spawn EPERM')
  }) as typeof spawn
  const child = supervise({ command: 'x', args: [] }, log, clock, throws)
  t.after(() => child.stop())
  assert.equal(clock.next, 0)
  assert.equal(log.entries[0]?.fields.reason, 'spawn EPERM')
})

test('stopping ends the child, and none is started again', async t => {
  const { clock, child, started, log } = setup(t, LIVES)
  const pid = await until(() => child.pid, 'the child')
  await child.stop()
  assert.equal(processEntry(pid), undefined)
  await clock.advance(60_000)
  assert.equal(started.length, 1)
  assert.deepEqual(log.entries, [])
})

test('a child that does not want to end is killed when its time is up', async t => {
  const script = `process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); process.stderr.write('<6>deaf\\n')`
  const { clock, child, log } = setup(t, script)
  await until(() => log.entries[0], 'the child')
  const pid = Number(child.pid)
  const stopped = child.stop()
  await clock.advance(KILL_AFTER_MS - 1)
  assert.ok(processEntry(pid))
  await clock.advance(1)
  await stopped
  assert.equal(processEntry(pid), undefined)
})

test('the child is told first what to do, at each start anew', async t => {
  const script = `require(${JSON.stringify(PARENT_LINK)}).linkToParent().hello
    .then(({ start }) => process.stderr.write('<6>hello' + start + '\\n'))`
  let starts = 0
  const hello = () => ({ start: ++starts, much: 'x'.repeat(100_000) })
  const { clock, log, child, ended } = setup(t, script, { hello })
  await until(() => log.messages().includes('info hello1'), 'the first')
  process.kill(Number(child.pid), 'SIGKILL')
  await ended(1)
  await clock.advance(0)
  await until(() => log.messages().includes('info hello2'), 'the second')
})

test('a child that runs is told what is new, also before it has read the first message', async t => {
  const script = `const link = require(${JSON.stringify(PARENT_LINK)}).linkToParent()
    link.onNews(({ text }) => process.stderr.write('<6>' + text + '\\n'))`
  const { clock, child, log } = setup(t, script, { hello: () => ({ text: 'first' }) })
  child.tell({ text: 'second' })
  await clock.advance(2_000)
  child.tell({ text: 'third' })
  await until(() => log.messages().includes('info third'), 'the news')
  assert.deepEqual(
    log.messages().filter(message => message.startsWith('info')),
    ['info second', 'info third'],
  )
})

test('a child in an attacker’s hands can do nothing over the channel', async t => {
  const script = `require('fs').writeSync(3, '{no json\\n' + 'x'.repeat(100_000)); process.stderr.write('<6>written\\n'); ${DEAF}`
  const { clock, child, log } = setup(t, script)
  await until(() => log.entries[0], 'what it wrote')
  const { pid } = child
  await clock.advance(1_000)
  assert.equal(child.pid, pid)
  assert.deepEqual(log.messages(), ['info written', 'notice companion is up'])
})

test('renewing a child ends it and starts another at once, with what it inherits then', async t => {
  const script = `process.stderr.write('<6>' + require('fs').readFileSync(4, 'utf8') + '\\n'); ${LIVES}`
  const temp = tempDirectory()
  t.after(() => temp.remove())
  const opened = ['one', 'two'].map(text => {
    writeFileSync(path.join(temp.path, text), text)
    return openSync(path.join(temp.path, text), 'r')
  })
  t.after(() => opened.forEach(closeSync))
  let current = 0
  const { log, child, started } = setup(t, script, { fds: () => opened.slice(current, current + 1) })
  await until(() => log.messages().includes('info one'), 'the first')
  current = 1
  child.renew()
  child.renew()
  await until(() => log.messages().includes('info two'), 'the second')
  assert.equal(started.length, 2)
  assert.deepEqual(log.messages(), ['info one', 'info two'])
})

test('a child that answers lives on', async t => {
  const { clock, child, log, started } = setup(t, LIVES)
  const pid = await until(() => child.pid, 'the child')
  let answers = 0
  started[0]?.stdio[CHANNEL_FD]?.on('data', () => {
    answers += 1
  })
  for (let beat = 1; beat <= 20; beat += 1) {
    await clock.advance(2_000)
    await until(() => answers === beat, `answer ${beat}`)
  }
  assert.equal(child.pid, pid)
  assert.deepEqual(log.messages(), ['notice companion is up'])
})

test('a child that is silent for ten seconds is killed and started again, and the log says so once', async t => {
  const { clock, child, log, started } = setup(t, DEAF)
  const pid = await until(() => child.pid, 'the child')
  process.kill(pid, 'SIGSTOP')
  await clock.advance(9_999)
  assert.equal(child.pid, pid)
  await clock.advance(1)
  await until(async () => {
    await clock.advance(0)
    return started.length === 2 && child.pid
  }, 'the next child')
  assert.deepEqual(log.messages(), ['notice companion is up', 'error companion is gone, starting it again'])
  assert.match(String(log.entries[1]?.fields.reason), /silent for 10 s/)
})

test('a parent that was held up itself does not take its child for a silent one', async t => {
  const due: (() => void)[] = []
  const late: Clock = {
    now: () => 0,
    after(_, run) {
      due.push(run)
      return { cancel: () => undefined }
    },
  }
  const log = keptLog()
  const child = supervise({ command: process.execPath, args: ['-e', DEAF] }, log, late)
  const pid = await until(() => child.pid, 'the child')
  t.after(() => child.stop())
  // Each time it wakes up all its timers are due, however long ago.
  for (let wake = 1; wake <= 4; wake += 1) for (const run of due.splice(0)) run()
  assert.ok(processEntry(pid))
  assert.deepEqual(log.messages(), ['notice companion is up'])
  for (const run of due.splice(0)) run()
  await until(() => processEntry(pid) === undefined, 'its end after four questions')
})

test('the child ends with a parent that is killed', async t => {
  const childScript = `${LIVES}; process.stderr.write('<6>' + process.pid + '\\n')`
  const parentScript = `
    const log = text => process.stdout.write(text + '\\n')
    require(${JSON.stringify(SUPERVISE)}).supervise(
      { command: process.execPath, args: ['-e', ${JSON.stringify(childScript)}] },
      { debug: log, info: log, notice: () => {}, warn: log, error: log })
    setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['-e', parentScript], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => parent.kill('SIGKILL'))
  const pid = Number(await new Promise(resolve => parent.stdout.once('data', resolve)))
  assert.ok(processEntry(pid))
  parent.kill('SIGKILL')
  await until(() => processEntry(pid) === undefined, 'the child to end')
})

test('a process that only supervises ends when there is nothing else to do', async () => {
  const script = `
    const log = () => {}
    require(${JSON.stringify(SUPERVISE)}).supervise(
      { command: process.execPath, args: ['-e', ${JSON.stringify(LIVES)}] },
      { debug: log, info: log, notice: log, warn: log, error: log })`
  const parent = spawn(process.execPath, ['-e', script], { stdio: 'inherit' })
  assert.equal(await new Promise(resolve => parent.on('exit', resolve)), 0)
})

/** The child's end of a channel, without a process. */
function channel(clock = heldClock()) {
  const exits: number[] = []
  const end = new PassThrough()
  return { end, exits, link: linkToParent(end, code => void exits.push(code), clock) }
}

test('the end of the channel ends the process in order, once', async () => {
  const { link, end, exits } = channel()
  let ends = 0
  link.endWithParent(async () => {
    ends += 1
  })
  await turns()
  assert.equal(ends, 0)
  end.end()
  await until(() => exits.length > 0, 'the exit')
  await turns()
  assert.deepEqual([ends, exits], [1, [0]])
})

test('an orderly end that takes too long is not waited for', async () => {
  const clock = heldClock()
  const { link, end, exits } = channel(clock)
  link.endWithParent(() => new Promise(() => undefined))
  end.end()
  await until(() => clock.next !== undefined, 'the end')
  await clock.advance(EXIT_AFTER_MS)
  assert.deepEqual(exits, [1])
})

test('a process whose parent is gone before it has said anything learns so', async () => {
  const { link, end } = channel()
  end.end()
  await assert.rejects(link.hello, /no parent process/)
})

test('news that cannot be told cost neither the parent nor the child anything', async t => {
  const news = () => {
    throw new Error('a fault')
  }
  const { clock, child, started, log } = setup(t, LIVES, { news })
  const { pid } = child
  let answers = 0
  started[0]?.stdio[CHANNEL_FD]?.on('data', () => {
    answers += 1
  })
  for (let count = 1; count <= 8; count += 1) {
    await clock.advance(2_000)
    await until(() => answers >= count, `answer ${count}`)
  }
  assert.equal(child.pid, pid)
  assert.ok(log.messages().includes('debug the companion cannot be told the news'))
})
