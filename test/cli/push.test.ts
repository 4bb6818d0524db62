/** `xaps push`, `forget`, `import` and `copy` without a Haraka: what is said in words, and what as data. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { XAPS, xaps } from '../e2e/run.ts'
import { type Directory, makeDirectory } from '../e2e/setup.ts'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import type { Reason } from '../fake/apple/reasons.ts'

const BOB = 'bob@example.org'
const GOOD = 'a1'.repeat(32)

/** Apple's reason → what is said: the answer, and on a second line what it means. */
const ANSWERS: readonly (readonly [reason: Reason, answer: RegExp, meaning: RegExp])[] = [
  ['Unregistered', /^gone since 20\S+Z$/, /^the phone has left this account; it registers again when/],
  [
    'BadDeviceToken',
    /^refused: BadDeviceToken$/,
    /^no phone has this token at this Apple: .*\[apns\] environment/,
  ],
  [
    'DeviceTokenNotForTopic',
    /^refused: Dev/,
    new RegExp(`^the phone listens to ${MAIL_TOPIC}, and the cred`),
  ],
  ['TopicDisallowed', /^refused: TopicDisallowed$/, /^the certificate is for other topics: leave/],
  ['TooManyRequests', /^not now: TooManyRequests$/, /^Apple has had too many pushes for this phone/],
  ['ServiceUnavailable', /^not now: ServiceUnavailable$/, /^Apple has a fault of its own/],
]

/** A device token for each of them, the good one first. */
const tokens = [GOOD, ...ANSWERS.map((_, index) => `b${index}`.repeat(32))]

/** A directory with Bob's devices in its store. */
async function filled(t: TestContext): Promise<Directory> {
  const here = await makeDirectory(t)
  const seen = new Date().toISOString()
  const common = { user: BOB, mailboxes: ['INBOX'], subtopic: 'com.apple.mobilemail', topic: MAIL_TOPIC }
  const lines = tokens.map((token, index) =>
    JSON.stringify({ ...common, account: `A${index}`, token, registeredAt: seen, lastSeen: seen }),
  )
  const imported = await xaps(['-c', here.dir, 'import', '-', '--json'], { input: lines.join('\n') })
  assert.deepEqual(JSON.parse(imported.stdout), {
    format: 'xaps export',
    dryRun: false,
    taken: tokens.length,
    renewed: 0,
    known: 0,
    skipped: 0,
    reasons: {},
  })
  ANSWERS.forEach(([reason], index) => {
    here.apple.faults.answerDevice(tokens[index + 1] ?? '', reason)
  })
  return here
}

const shown = (token: string) => `${token.slice(0, 8)}…${token.slice(-4)}`

const jsonIn = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))

test('push says each answer of Apple in words, and what it means', async t => {
  const { status, stdout } = await (await filled(t)).xaps('push', BOB)
  assert.equal(status, 0, 'one was accepted')
  const [first, ...lines] = stdout.trimEnd().split('\n')
  assert.match(first ?? '', new RegExp(`^${shown(GOOD)}  accepted by Apple`))
  assert.equal(lines.length, 2 * ANSWERS.length, stdout)
  ANSWERS.forEach(([, answer, meaning], index) => {
    const [token, said, ...more] = (lines[2 * index] ?? '').split(/ {2,}/)
    assert.equal(token, shown(tokens[index + 1] ?? ''))
    assert.match(said ?? '', answer)
    assert.match(more.join(' '), /^(?:apns-id \S+)?$/)
    assert.match(lines[2 * index + 1]?.slice(15) ?? '', meaning)
  })
})

test('push and forget give the same as data', async t => {
  const here = await filled(t)
  const pushed = jsonIn((await here.xaps('push', BOB, '--json')).stdout)
  assert.deepEqual(
    pushed.map(({ token, result, reason }) => [token, result, reason]),
    [
      [shown(GOOD), 'sent', undefined],
      ...['gone', 'refused token', 'refused device', 'refused setup', 'later device', 'later push'].map(
        (kind, index) => [shown(tokens[index + 1] ?? ''), kind, ANSWERS[index]?.[0]],
      ),
    ],
  )
  assert.equal(new Date(pushed[1].since).toISOString(), pushed[1].since)
  assert.match(pushed[2].advice, /environment/)
  const copied = await here.xaps('copy', 'lmdb:xaps', 'lmdb:other', '--json')
  const counts = { taken: tokens.length - 2, renewed: 0, known: 0, gone: 0, 'no room': 0 }
  assert.deepEqual(JSON.parse(copied.stdout), counts, 'but what Apple has called gone and bad')
  const forgotten = jsonIn((await here.xaps('forget', BOB, '--json', '--account', 'A0')).stdout)
  assert.deepEqual(
    forgotten.map(({ user, account, token }) => [user, account, token]),
    [[BOB, 'A0', shown(GOOD)]],
  )
})

test('push of a name in another form tells the one that was meant', async t => {
  const here = await filled(t)
  assert.deepEqual(await here.xaps('push', 'bob'), {
    status: 1,
    stdout: '',
    stderr: `xaps: bob: no device; ${BOB} has ${tokens.length}: xaps push ${BOB}\n`,
  })
  assert.deepEqual(here.apple.pushes, [])
})

test('Ctrl-C while Apple says nothing ends push at once and quietly', async t => {
  const here = await filled(t)
  here.apple.faults.hang()
  const child = spawn(process.execPath, [XAPS, '-c', here.dir, 'push', BOB], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.after(() => child.kill('SIGKILL'))
  const output = Promise.all([text(child.stdout), text(child.stderr)])
  await here.apple.waitForRequest(1)
  child.kill('SIGINT')
  assert.deepEqual(await once(child, 'exit'), [null, 'SIGINT'])
  assert.deepEqual(await output, ['', ''])
})
