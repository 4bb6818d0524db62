import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { until } from '../support/wait.ts'
import { mailTo, pluginLines, type Sections, startSite } from './setup.ts'

/** A mistake → the one line in the log. */
const WRONG: Readonly<Record<string, readonly [Sections, RegExp]>> = {
  'a key that is none': [
    { push: { windw: 3 } },
    /config\/xaps\.ini: \[push\] windw = 3 .*unknown, expected .*window/,
  ],
  'a value out of range': [
    { apns: { port: 'https' } },
    /config\/xaps\.ini: \[apns\] port = https .*expected a whole number from 1 to 65535/,
  ],
  'no credentials': [{ apns: { certificate: '', key: '' } }, /config\/xaps\.ini: \[apns\] .*certificate/],
  'credentials that are not there': [
    { apns: { certificate: '/nowhere/push.pem' } },
    /config\/xaps\.ini: \[apns\] certificate = \/nowhere\/push\.pem/,
  ],
}

for (const [what, [xaps, said]] of Object.entries(WRONG)) {
  test(`with ${what} there is one clear line, no push, and mail as ever`, async t => {
    const { lmtp, ...site } = await startSite(t, { xaps, companion: false })
    await mailTo(site, 'alice@example.com')
    await until(() => lmtp.mails.length === 1, 'the mail')
    const lines = pluginLines(site.log())
    assert.equal(lines.length, 1, lines.join('\n'))
    assert.match(lines[0] ?? '', /\[ERROR\]/)
    assert.match(lines[0] ?? '', said)
    assert.equal(existsSync(site.socket), false)
    assert.deepEqual(site.children(), [])
  })
}
