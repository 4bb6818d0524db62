/** kill -9 while pushes are pending: the process that comes next makes them. Real processes, no orderly end. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { within } from '../../plugins/xaps/base/deadline.ts'
import { startApple } from '../fake/apple/server.ts'
import { owned } from '../support/owned.ts'
import { until } from '../support/wait.ts'
import { phoneOf } from './dovecot-plugins.ts'
import { type Site, startSite } from './setup.ts'

const USERS = Array.from({ length: 20 }, (_, number) => `user${number}@example.com`)

const workersOf = (site: Site) =>
  site.children().filter(({ command }) => / -c /.test(command) && !/ serve /.test(command))

/** How often each user's phone has been pushed. */
const countsOf = ({ apple }: Site) =>
  USERS.map(user => apple.pushes.filter(({ token }) => token === phoneOf(user).token).length)

/** A worker that is killed takes connections along, or leaves them unanswered; the sender tries again, as senders do. */
const mailWhenItListens = (site: Site, user: string) =>
  until(
    () =>
      within(site.mail(user), 2_000, 'mail').then(
        () => true,
        () => false,
      ),
    'Haraka to take a mail',
  )

test('while Apple is away all workers are killed, and then Haraka as a whole: each phone gets its push', async t => {
  const apple = owned(t, await startApple())
  const site = await startSite(t, { apple, nodes: 2, xaps: { push: { window: 1 } } })
  await site.register(...USERS)
  await apple.faults.refuse()
  for (const user of USERS.slice(0, 10)) await site.mail(user)
  await site.delivered(10)

  await t.test('the workers', async () => {
    await until(() => site.lines(/decision=waits_apple/).length === 10, 'all to wait for Apple')
    const killed = workersOf(site).map(({ pid }) => pid)
    assert.equal(killed.length, 2)
    for (const pid of killed) process.kill(pid, 'SIGKILL')
    await until(
      () => site.lines(/were pending when a process ended are made now/).length > 0,
      'others to take over',
    )
    for (const user of USERS.slice(10)) await mailWhenItListens(site, user)
    await site.delivered(20)
    await until(
      () => new Set(site.lines(/decision=waits_apple .*mail=/).map(mailIn)).size === 20,
      'all to wait',
    )
  })
  await t.test('Haraka', async () => {
    await site.kill()
    await until(() => site.children().length === 0, 'all processes to be gone')
    await apple.heal()
    await site.startAgain()
    await until(() => countsOf(site).every(count => count > 0), 'a push for each phone')
    assert.deepEqual(
      [...new Set(countsOf(site))].filter(count => count > 2),
      [],
      'one more than needed at most',
    )
  })
})

/** The uuid of the mail that a line is of. */
const mailIn = (line: string) => /mail=([0-9A-F-]+)/.exec(line)?.[1] ?? line

test('workers are killed at any moment under load: after the last mail each phone is pushed', async t => {
  const apple = owned(t, await startApple())
  apple.faults.latency(50)
  const site = await startSite(t, { apple, nodes: 2, xaps: { push: { window: 1 } } })
  await site.register(...USERS)
  let mails = 0
  let isOver = false
  const sendOn = async (from: number) => {
    for (let number = from; !isOver; number += 4) {
      await mailWhenItListens(site, USERS[number % USERS.length] ?? '')
      mails += 1
    }
  }
  const senders = [0, 1, 2, 3].map(sendOn)
  for (let kill = 0; kill < 8; kill += 1) {
    const before = mails
    await until(() => mails >= before + 10, 'mails to flow')
    await sleep(Math.random() * 50)
    const [victim] = workersOf(site)
    if (victim) process.kill(victim.pid, 'SIGKILL')
  }
  isOver = true
  await Promise.all(senders)
  const lastMail = (user: string) => site.lmtp.mails.findLast(({ to }) => to.includes(user))?.at ?? 0
  const lastPush = (user: string) =>
    apple.pushes.findLast(({ token }) => token === phoneOf(user).token)?.epoch ?? 0
  const late = () => USERS.filter(user => lastPush(user) < lastMail(user))
  await until(() => late().length === 0, 'a push after the last mail of each user')
})
