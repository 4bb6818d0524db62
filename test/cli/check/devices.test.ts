/** What `xaps check` finds of the devices, the topics and the names of users; and its form for programs. */

import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { phoneOf } from '../../e2e/dovecot-plugins.ts'
import { type Directory, makeDirectory, type Sections } from '../../e2e/setup.ts'
import { MAIL_TOPIC, pushCertificate } from '../../fake/apple/certificates.ts'
import { check, finds } from './findings.ts'

const OLD = 'com.apple.mail.XServer.old'

/** A store with a phone per pair of user and topic. */
async function withPhones(
  t: TestContext,
  phones: readonly (readonly [user: string, topic: string])[],
  xaps: Sections = {},
): Promise<Directory> {
  const here = await makeDirectory(t, { xaps })
  const now = new Date().toISOString()
  const rest = { mailboxes: ['INBOX'], subtopic: 'com.apple.mobilemail', registeredAt: now, lastSeen: now }
  const lines = phones.map(([user, topic]) => JSON.stringify({ ...phoneOf(user), ...rest, topic }))
  const file = path.join(here.keys, 'devices.jsonl')
  fs.writeFileSync(file, `${lines.join('\n')}\n`)
  const { status, stderr } = await here.xaps('import', file)
  assert.equal(status, 0, stderr)
  return here
}

const users = (topic: string, ...names: string[]) => names.map(name => [name, topic] as const)

test('phones on an older topic are counted, and they come back', async t => {
  const here = await withPhones(t, [
    ...users(OLD, 'a@example.org', 'b@example.org'),
    ...users(MAIL_TOPIC, 'c@example.org'),
  ])
  const older = new RegExp(
    `2 of 3 devices listen to another topic \\(${OLD}; today's is ${MAIL_TOPIC}\\) and are not pushed: they come back within a day`,
  )
  const { status } = await finds(here, 'warn', older)
  assert.equal(status, 0)
})

test('when no phone listens to the topic, the credentials may be the wrong ones', async t => {
  const here = await withPhones(t, users(OLD, 'a@example.org'))
  await finds(here, 'warn', /1 of 1 device listen to another topic .*if not, set the credentials of before$/)
})

for (const [username, names, says] of [
  [
    'address',
    ['bob', 'eve'],
    /2 of 2 registered users \((?:bob|eve)\) have no domain, but \[users\] username = address .*: set username = local_part/,
  ],
  [
    'local_part',
    ['bob@example.org'],
    /1 of 1 registered user \(bob@example\.org\) have a domain, but \[users\] username = local_part .*: set username = address/,
  ],
  [
    'address',
    ['bob', 'eve@example.org'],
    /1 of 2 registered users \(bob\) have no domain, .*: their mail wakes no phone$/,
  ],
] as const) {
  test(`users ${names.join(', ')} and username = ${username} do not agree`, async t => {
    await finds(await withPhones(t, users(MAIL_TOPIC, ...names), { users: { username } }), 'warn', says)
  })
}

test('names and topics as they should be cost no line', async t => {
  const here = await withPhones(t, users(MAIL_TOPIC, 'a@example.org'))
  const { stdout } = await check(here)
  assert.doesNotMatch(stdout, /registered user|another topic/)
})

test('a topic that is not in the certificate is found without Apple', async t => {
  const here = await makeDirectory(t, { xaps: { apns: { topic: 'com.apple.mail.XServer.mine' } } })
  await finds(
    here,
    'FAIL',
    new RegExp(
      `\\[apns\\] topic = com\\.apple\\.mail\\.XServer\\.mine is not in the certificate, which is for ${MAIL_TOPIC}.*: leave \\[apns\\] topic empty$`,
    ),
  )
})

test('the sandbox has no tokens of Apple Mail', async t => {
  const here = await makeDirectory(t, { xaps: { apns: { environment: 'sandbox' } } })
  const { certificate, key } = pushCertificate({ sandbox: true })
  fs.writeFileSync(path.join(here.keys, 'push.pem'), certificate)
  fs.writeFileSync(path.join(here.keys, 'push.key'), key)
  await finds(here, 'warn', /\[apns\] environment = sandbox: .*BadDeviceToken.*set environment = production$/)
})

test('--json has the same lines as data', async t => {
  const here = await makeDirectory(t)
  const { stdout } = await here.xaps('check', '--offline', '--json')
  const lines = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  const plain = await check(here)
  assert.equal(lines.map(({ level, text }) => `${level.padEnd(4)}  ${text}\n`).join(''), plain.stdout)
  assert.deepEqual(
    lines.map(({ about }) => about).filter((about, index, all) => about !== all[index - 1]),
    ['configuration', 'credentials', 'store', 'companion'],
  )
})
