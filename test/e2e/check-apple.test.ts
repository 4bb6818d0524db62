/** What `xaps check` makes of Apple's answer to its push: each way of being refused, and what an operator is told. */

import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import tls from 'node:tls'
import {
  MAIL_TOPIC,
  makeAuthority,
  type Pair,
  pushCertificate,
  serverCertificate,
} from '../fake/apple/certificates.ts'
import { type ProviderKey, providerKey } from '../fake/apple/provider-key.ts'
import { type Apple, type AppleOptions, startApple } from '../fake/apple/server.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'
import { type Ended, xaps } from './run.ts'
import { iniText, type Sections } from './setup.ts'

const GRANTED = 'com.apple.mobilemail.push.org.example'
const APP = 'org.example.app'

/** The [apns] keys for credentials in files below `dir`. */
type Credentials = (dir: string) => Sections[string]

const certificate =
  (pair: Pair, topic = ''): Credentials =>
  dir => {
    writeFileSync(path.join(dir, 'push.pem'), pair.certificate + pair.key, { mode: 0o600 })
    return { certificate: 'push.pem', topic }
  }

const p8 =
  ({ keyId, teamId, p8: text }: ProviderKey, more: Sections[string] = {}): Credentials =>
  dir => {
    writeFileSync(path.join(dir, 'key.p8'), text, { mode: 0o600 })
    return { token_key: 'key.p8', key_id: keyId, team_id: teamId, topic: GRANTED, ...more }
  }

interface Case {
  readonly apple?: AppleOptions
  readonly credentials: Credentials
  readonly break?: (apple: Apple) => void
  /** Further keys of [apns]. */
  readonly apns?: Sections[string]
  /** What follows `localhost: ` on the line. */
  readonly says: RegExp
}

const key = providerKey()
const appKey = providerKey({ topics: [APP] })
const sandboxKey = providerKey({ environment: 'sandbox' })
const NO_P8 = 'this is a \\.p8 key: .* Apple refuses it for mail topics; use the certificate'

const REFUSED: Readonly<Record<string, Case>> = {
  'a certificate of another authority': {
    credentials: certificate(pushCertificate({ topic: GRANTED, issuer: makeAuthority() })),
    says: /^refused: BadCertificate; Apple takes only a push certificate that it issued itself/,
  },
  'a certificate for production at the sandbox': {
    apple: { environment: 'sandbox' },
    credentials: certificate(pushCertificate({ topic: GRANTED, sandbox: false })),
    says: /^refused: BadCertificateEnvironment; the credentials are not for what \[apns\] environment says/,
  },
  'a certificate with the topic of another one': {
    credentials: certificate(pushCertificate({ topic: APP }), GRANTED),
    says: /^refused: TopicDisallowed; the certificate is for other topics: leave \[apns\] topic empty, it is in the certificate \(org\.example\.app\)$/,
  },
  'a certificate that Apple calls forbidden': {
    credentials: certificate(pushCertificate({ topic: GRANTED })),
    break: apple => apple.faults.answer('Forbidden'),
    says: /^refused: Forbidden; Apple takes only a push certificate/,
  },
  'a .p8 key of a team that may not push mail': {
    apple: { providerKeys: [appKey] },
    credentials: p8(appKey),
    says: new RegExp(`^refused: TopicDisallowed; ${NO_P8}`),
  },
  'a .p8 key that Apple does not know': {
    credentials: p8(key),
    says: new RegExp(
      `^refused: InvalidProviderToken; do key_id and team_id belong to the key.* And ${NO_P8}`,
    ),
  },
  'a .p8 key that Apple forbids': {
    apple: { providerKeys: [key] },
    credentials: p8(key),
    break: apple => apple.faults.answer('Forbidden'),
    says: new RegExp(`^refused: Forbidden; ${NO_P8}`),
  },
  'a .p8 key for the sandbox': {
    apple: { providerKeys: [sandboxKey] },
    credentials: p8(sandboxKey),
    says: /^refused: BadEnvironmentKeyIdInToken; the credentials are not for what \[apns\] environment says/,
  },
  'a topic that is none': {
    apple: { providerKeys: [key] },
    credentials: p8(key, { topic: 'com apple' }),
    says: /^refused: BadTopic; \[apns\] topic is no topic: expected the App ID/,
  },
}

for (const [what, { says, ...situation }] of Object.entries(REFUSED)) {
  test(`check at ${what} says ${says.source.slice(1, 40)}…`, async t => {
    const { status, stdout } = await check(t, situation)
    assert.equal(status, 1)
    const line = /^FAIL +localhost: (.*)$/m.exec(stdout)?.[1]
    assert.match(line ?? stdout, says)
  })
}

test('a push to a token of zeros that Apple calls bad is good news', async t => {
  const pair = pushCertificate({ topic: GRANTED })
  let seen: Apple | undefined
  const keep = (apple: Apple) => {
    seen = apple
  }
  const { status, stdout } = await check(t, { credentials: certificate(pair), break: keep })
  assert.equal(status, 0, stdout)
  assert.match(stdout, /^ok +localhost: credentials and topic accepted$/m)
  assert.deepEqual(
    seen?.requests.map(({ reason }) => reason),
    ['BadDeviceToken'],
  )
})

test('an Apple that asks to wait gets no advice about credentials', async t => {
  const pair = pushCertificate({ topic: GRANTED })
  const busy = (apple: Apple) => apple.faults.answer('ServiceUnavailable')
  const { status, stdout } = await check(t, { credentials: certificate(pair), break: busy })
  assert.equal(status, 0, stdout)
  assert.match(stdout, /^warn +localhost: not now: ServiceUnavailable$/m)
})

test('a certificate of macOS Server that has ended is not to be renewed', async t => {
  const notAfter = new Date('2025-10-20T12:00:00Z')
  const ended = pushCertificate({ topic: MAIL_TOPIC, notBefore: new Date('2024-10-20T12:00:00Z'), notAfter })
  const { status, stdout } = await check(t, { credentials: certificate(ended) })
  assert.equal(status, 1)
  assert.match(
    stdout,
    /^FAIL +the certificate for Apple ended on 2025-10-20.*; Apple renews no certificate of/m,
  )
})

/** What is told of an Apple that gives no answer: the step of the way that fails, and what to do. */
const AWAY: Readonly<Record<string, Pick<Case, 'apple' | 'apns' | 'says'>>> = {
  'a name that does not resolve': {
    apns: { host: 'no-such-host.invalid' },
    says: /^no answer: .*; DNS: no-such-host\.invalid has no address here \(E\w+\): try `getent hosts no-such-host\.invalid`$/,
  },
  'a port that nothing listens on': {
    apns: { port: 1 },
    says: /^no answer: .*; TCP: no connection to localhost port 1 \(ECONNREFUSED\): does a firewall let it out\?/,
  },
  'a certificate of another authority': {
    apns: { ca: 'other.pem' },
    says: /^no answer: .*; TLS: .*certificate.*may answer in Apple's place; is \[apns\] ca right\?$/,
  },
  'a certificate that is not for its name': {
    apple: { host: '127.0.0.2' },
    apns: { host: '127.0.0.2' },
    says: /^no answer: .*; TLS: .*127\.0\.0\.2.*may answer in Apple's place/,
  },
}

for (const [what, { says, ...situation }] of Object.entries(AWAY)) {
  test(`check at ${what} says which step fails`, async t => {
    const credentials = certificate(pushCertificate({ topic: GRANTED }))
    const { status, stdout } = await check(t, { credentials, ...situation })
    assert.equal(status, 1)
    assert.match(/^FAIL +\S+: (no answer.*)$/m.exec(stdout)?.[1] ?? stdout, says)
  })
}

for (const [what, protocols, says] of [
  [
    'that speaks no HTTP/2',
    ['http/1.1'],
    /; (?:HTTP\/2: what answers at localhost port \d+ does not speak it|TLS: .*no application protocol)/,
  ],
  [
    'that takes the connection and is silent',
    ['h2'],
    /; HTTP\/2: localhost takes the connection and answers no push/,
  ],
] as const) {
  test(`check at a server ${what} says that it may not be Apple`, async t => {
    const { certificate: cert, key } = serverCertificate()
    const silent = tls.createServer({ cert, key, ALPNProtocols: [...protocols] }, socket => socket.resume())
    await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
    t.after(() => silent.close())
    const { port } = silent.address() as AddressInfo
    const credentials = certificate(pushCertificate({ topic: GRANTED }))
    const { stdout } = await check(t, { credentials, apns: { port, request_timeout: 1 } })
    assert.match(/^FAIL +localhost: (.*)$/m.exec(stdout)?.[1] ?? stdout, says)
  })
}

async function check(t: TestContext, situation: Omit<Case, 'says'>): Promise<Ended> {
  const apple = owned(t, await startApple(situation.apple))
  situation.break?.(apple)
  const { path: dir } = owned(t, tempDirectory())
  mkdirSync(path.join(dir, 'config'))
  writeFileSync(path.join(dir, 'ca.pem'), apple.ca)
  writeFileSync(path.join(dir, 'other.pem'), makeAuthority().certificate)
  const reached = { ca: 'ca.pem', host: apple.host, port: apple.port }
  const apns = { ...situation.credentials(dir), ...reached, ...situation.apns }
  writeFileSync(
    path.join(dir, 'config', 'xaps.ini'),
    iniText({ apns, registration: { socket: 'xapsd.sock' } }),
  )
  return xaps(['-c', dir, 'check'])
}
