/** The stand-in against the library that the plugin uses: what Apple takes from it, the stand-in must take. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import apn, { type ProviderOptions } from 'apn'
import { TOKEN } from './bare-client.ts'
import { MAIL_TOPIC, pushCertificate } from './certificates.ts'
import { pkcs12 } from './pkcs12.ts'
import { providerKey } from './provider-key.ts'
import { startApple } from './server.ts'

const pair = pushCertificate()
const key = providerKey()

const credentials: Readonly<Record<string, ProviderOptions>> = {
  'a certificate': { cert: pair.certificate, key: pair.key },
  'a PKCS#12 file': { pfx: pkcs12(pair, 'secret'), passphrase: 'secret' },
  'a token key': { token: { key: key.p8, keyId: key.keyId, teamId: key.teamId } },
}

for (const [what, options] of Object.entries(credentials)) {
  test(`the apn library pushes with ${what}`, async t => {
    const apple = await startApple({ providerKeys: [key] })
    const { host: address, port, ca } = apple
    const provider = new apn.Provider({ ...options, address, port, ca: [ca], production: true })
    t.after(async () => {
      await provider.shutdown()
      await apple.close()
    })
    const note = new apn.Notification()
    Object.assign(note, {
      topic: MAIL_TOPIC,
      pushType: 'background',
      priority: 5,
      aps: { 'account-id': 'A' },
    })
    assert.equal((await provider.send(note, TOKEN)).sent.length, 1)
    // Only now may a token connection have more than one stream.
    const devices = Array.from({ length: 20 }, (_, index) => `${TOKEN}${index + 10}`)
    assert.equal((await provider.send(note, devices)).sent.length, 20)
    assert.deepEqual(apple.pushes[0]?.payload, { aps: { 'account-id': 'A' } })
    assert.equal(apple.connections.opened, 1)
  })
}
