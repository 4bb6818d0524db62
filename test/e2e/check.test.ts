/** `xaps check` and `xaps explain` in a Haraka directory that no Haraka runs in. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { pushCertificate } from '../fake/apple/certificates.ts'
import type { Ended } from './run.ts'
import { makeDirectory, type Sections } from './setup.ts'

/** 50 bytes: the longest that is short. */
const SHORT = 'com.apple.mobilemail.push.org.example.a.long.name.'
const LONG = `${SHORT}x`

async function inDirectory(
  t: TestContext,
  topic: string,
  sections: Sections,
  command: readonly string[] = ['check', '--offline'],
): Promise<Ended> {
  const here = await makeDirectory(t, { xaps: sections })
  const { certificate, key } = pushCertificate({ topic })
  writeFileSync(path.join(here.keys, 'push.pem'), certificate)
  writeFileSync(path.join(here.keys, 'push.key'), key)
  return here.xaps(...command)
}

const HTTP = { listen: '[::1]:11619' }

for (const [padTopic, here, other] of [
  ['true', 'freswa', 'timlaing'],
  ['false', 'timlaing', 'freswa'],
] as const) {
  test(`check says for whom a short topic is answered with pad_topic = ${padTopic}`, async t => {
    const registration = { ...HTTP, pad_topic: padTopic }
    const { stdout } = await inDirectory(t, SHORT, { registration })
    const line = `^ok .*\\[registration\\] pad_topic = ${padTopic} suits ${here}'s Dovecot plugin; change it for ${other}'s$`
    assert.match(stdout, new RegExp(line, 'm'))
  })
}

test('check says nothing of padding where the topic is long enough, or nothing is served over HTTP', async t => {
  assert.doesNotMatch((await inDirectory(t, LONG, { registration: HTTP })).stdout, /pad_topic/)
  assert.doesNotMatch((await inDirectory(t, SHORT, {})).stdout, /pad_topic/)
})

test('check and explain say what notify = all means', async t => {
  const sections = { registration: { notify: 'all' } }
  const { stdout } = await inDirectory(t, LONG, sections)
  assert.match(stdout, /^warn .*notify = all means \[delivery\] source = plugin/m)
  const explained = await inDirectory(t, LONG, sections, ['explain', 'alice@example.org'])
  assert.match(explained.stdout, /^ok +new mail is told by Dovecot's XAPS plugin .*hooks push nothing$/m)
})

test('check fails on a port that there is not', async t => {
  const { status, stderr } = await inDirectory(t, LONG, { registration: { listen: '[::1]:99999' } })
  assert.equal(status, 1)
  assert.match(
    stderr,
    /\[registration\] listen = \[::1\]:99999 .*expected addresses with a port from 1 to 65535/,
  )
})
