/** docs/credentials.md walked from `openssl req` to `xaps check`, with the stand-in for Apple and its certificates. */

import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { parseConfig } from '../../plugins/xaps/config/config.ts'
import { type Ended, run, XAPS } from '../e2e/run.ts'
import { type Authority, authority } from '../fake/apple/certificates.ts'
import { startApple } from '../fake/apple/server.ts'
import { missing } from '../support/need.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'

const PAGE = readFileSync(path.join(__dirname, '../../../docs/credentials.md'), 'utf8')
const TOPIC = 'com.apple.mobilemail.push.org.example'

/** The blocks of a language on the page, with the directory that stands for /etc/haraka. */
function blocks(language: string, dir: string): string[] {
  const fenced = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms')
  return [...PAGE.matchAll(fenced)].map(([, block = '']) => block.replaceAll('/etc/haraka', dir))
}

test('every piece of xaps.ini on the page is one', () => {
  const found = blocks('ini', '/etc/haraka')
  assert.equal(found.length, 2)
  for (const block of found) assert.doesNotThrow(() => parseConfig(block, '/'), block)
})

test('its commands lead from nothing to credentials that are accepted', {
  skip: missing('openssl'),
}, async t => {
  const apple = owned(t, await startApple())
  const dir = owned(t, tempDirectory()).path
  const shell = (script: string): Promise<Ended> => run('bash', ['-ec', script], { cwd: dir })
  const [request = '', convert = '', check = ''] = blocks('sh', dir)

  assert.equal((await shell(request)).status, 0)
  await issue(shell, dir, authority())
  const { stdout: subject } = await shell(convert)
  assert.match(subject, new RegExp(`UID ?= ?${TOPIC.replaceAll('.', '\\.')}`))
  mkdirSync(path.join(dir, 'config'))
  writeFileSync(path.join(dir, 'ca.pem'), apple.ca)
  const standIn = `ca = ca.pem\nhost = ${apple.host}\nport = ${apple.port}\n`
  writeFileSync(path.join(dir, 'config', 'xaps.ini'), (blocks('ini', dir)[0] ?? '') + standIn)
  for (const name of ['push.pem', 'push.key']) chmodSync(path.join(dir, name), 0o600)
  const { status, stdout } = await shell(check.replace('npx xaps', `${process.execPath} ${XAPS}`))
  assert.equal(status, 0, stdout)
  assert.match(
    stdout,
    new RegExp(`^ok +credentials: certificate, topic ${TOPIC}, production, valid until`, 'm'),
  )
  assert.match(stdout, /^ok .*credentials and topic accepted$/m)
})

/** What Apple's developer site does with push.csr: aps.cer, for the key of the request, with Apple's own subject. */
async function issue(shell: (script: string) => Promise<Ended>, dir: string, by: Authority): Promise<void> {
  assert.ok(existsSync(path.join(dir, 'push.csr')))
  writeFileSync(path.join(dir, 'issuer.pem'), by.certificate)
  writeFileSync(path.join(dir, 'issuer.key'), by.key)
  const extensions = ['extendedKeyUsage=clientAuth', '1.2.840.113635.100.6.3.2=ASN1:NULL']
  writeFileSync(path.join(dir, 'extensions'), `${extensions.join('\n')}\n`)
  const { status, stderr } = await shell(
    `openssl req -in push.csr -pubkey -noout -out pub.pem
     openssl x509 -new -force_pubkey pub.pem -subj '/UID=${TOPIC}/CN=Apple Push Services: ${TOPIC}' \
       -CA issuer.pem -CAkey issuer.key -CAcreateserial -days 365 -extfile extensions -outform der -out aps.cer`,
  )
  assert.equal(status, 0, stderr)
}
