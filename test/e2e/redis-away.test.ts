import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import { owned } from '../support/owned.ts'
import { missingRedis, startRedis } from '../support/redis.ts'
import { until } from '../support/wait.ts'
import { phoneOf, registerByHttp, registerByLine } from './dovecot-plugins.ts'
import { mailTo, pushed, startSite } from './setup.ts'

const OLD = phoneOf('old@example.com')
const NEW = phoneOf('new@example.com')
const OTHER = phoneOf('other@example.com')

test('while Redis is away mail flows, and phones register', { skip: missingRedis() }, async t => {
  const redis = owned(t, await startRedis())
  const { apple, lmtp, ...site } = await startSite(t, { xaps: { store: { uri: redis.uri } } })
  const spool = path.join(site.dir, 'xaps-spool', 'data.mdb')
  await registerByLine(site.socket, OLD)
  await redis.kill()

  await t.test('a registration is answered with the topic, and waits on disk', async () => {
    assert.equal(await registerByLine(site.socket, NEW), `OK ${MAIL_TOPIC}\r\n`)
    assert.equal((await registerByHttp(site.httpPort, OTHER)).status, 200)
    const onDisk = readFileSync(spool, 'latin1')
    assert.match(onDisk, /new@example\.com/)
    assert.match(onDisk, /other@example\.com/)
  })
  await t.test('a mail is delivered', async () => {
    await mailTo(site, OLD.user)
    await until(() => lmtp.mails.length === 1, 'the mail')
  })
  await t.test('when Redis is back the mail is pushed', async () => {
    await redis.start()
    const [push] = await pushed(apple, site, 1)
    assert.equal(push?.token, OLD.token)
  })
  await t.test('and so are mails to those who registered meanwhile', async () => {
    await until(() => /registrations from the spool are saved/.test(site.log()), 'the spool to be saved')
    await mailTo(site, NEW.user, OTHER.user)
    const pushes = await pushed(apple, site, 3)
    assert.deepEqual(
      new Set(pushes.map(({ token }) => token)),
      new Set([OLD, NEW, OTHER].map(({ token }) => token)),
    )
  })
})
