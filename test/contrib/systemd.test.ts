/** The files for systemd: what systemd's own tools say of them, and `xaps serve` as their user in their directories. */

import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { phoneOf, recorded } from '../e2e/dovecot-plugins.ts'
import { asIds, askAs, run, XAPS, xaps } from '../e2e/run.ts'
import { appleKeys, iniText, OK } from '../e2e/setup.ts'
import { startApple } from '../fake/apple/server.ts'
import { missing } from '../support/need.ts'
import { owned } from '../support/owned.ts'
import { freePort, startServer } from '../support/server.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const CONTRIB = path.join(__dirname, '../../../contrib/systemd')
const UNIT = path.join(CONTRIB, 'xaps.service')

const DOVECOT_GROUP = 4242
const NOBODY = 65534

const skip = missing('systemd-analyze', 'systemd-sysusers', 'systemd-tmpfiles', 'setpriv')
const skipUnlessRoot =
  skip || (process.getuid?.() !== 0 && 'not run: only root can make directories for others')

test('systemd finds nothing wrong with the unit, and little that it exposes', { skip }, async t => {
  const temp = owned(t, tempDirectory())
  const [, command = ''] = /^ExecStart=(\S+)/m.exec(readFileSync(UNIT, 'utf8')) ?? []
  const unit = path.join(temp.path, 'xaps.service')
  writeFileSync(unit, readFileSync(UNIT, 'utf8').replace(command, process.execPath))
  const verified = await run('systemd-analyze', ['verify', unit])
  // It looks at the units named in After= as well.
  const said = verified.stderr.split('\n').filter(line => line.includes('xaps'))
  assert.deepEqual([verified.status, said], [0, []])
  // In tenths: fails above 2.0 of 10.
  const exposed = await run('systemd-analyze', ['security', '--offline=true', '--threshold=20', unit])
  assert.equal(exposed.status, 0, exposed.stdout)
})

test('its user serves in its directories, and Dovecot’s processes reach it', {
  skip: skipUnlessRoot,
}, async t => {
  const apple = owned(t, await startApple())
  const { at, uid, gid } = await installed(t)
  const socket = at('run/xaps/xapsd.sock')
  const config = at('etc/xaps/config')
  writeFileSync(
    path.join(config, 'xaps.ini'),
    iniText({
      apns: appleKeys(apple, config),
      delivery: { source: 'plugin' },
      store: { uri: `redis://:secret@127.0.0.1:${await freePort()}` },
      registration: { enabled: 'false', socket, socket_group: DOVECOT_GROUP },
    }),
  )
  for (const file of readdirSync(config)) {
    chownSync(path.join(config, file), 0, gid)
    chmodSync(path.join(config, file), 0o640)
  }
  const server = owned(
    t,
    startServer('setpriv', [
      ...asIds({ uid, gid, groups: [DOVECOT_GROUP] }),
      ...['--inh-caps=-all', '--bounding-set=-all', '--no-new-privs'],
      ...[process.execPath, XAPS, '-c', at('etc/xaps'), 'serve'],
    ]),
  )
  await server.waitForOutput(/companion ready/)

  await t.test('one with Dovecot’s group registers a phone, one without does not reach it', async () => {
    const nobody = { uid: NOBODY, gid: NOBODY, groups: [] }
    const request = recorded('st3fan-reg-basic', phoneOf('alice@example.com'))
    assert.equal(await askAs({ ...nobody, groups: [DOVECOT_GROUP] }, socket, request), OK)
    assert.equal(await askAs(nobody, socket, request), 'EACCES')
  })
  await t.test('it waits in the spool while Redis is away, in the service’s own directory', () => {
    const { uid: owner, mode } = lstatSync(at('var/lib/xaps/spool/data.mdb'))
    assert.deepEqual([owner, mode & 0o777], [uid, 0o660])
    assert.equal(lstatSync(at('var/lib/xaps/spool')).mode & 0o777, 0o700)
  })
  await t.test('what is pending while Redis is away is on disk, in the service’s own directory', async () => {
    const notification = recorded('st3fan-lmtp-basic', phoneOf('alice@example.com'))
    await askAs({ uid: NOBODY, gid: NOBODY, groups: [DOVECOT_GROUP] }, socket, notification)
    const files = () => readdirSync(at('var/lib/xaps/pending'))
    await until(() => files().length === 1, 'the file')
    const { uid: owner, mode } = lstatSync(at('var/lib/xaps/pending', files()[0] ?? ''))
    assert.deepEqual([owner, mode & 0o777], [uid, 0o600])
    assert.doesNotMatch(server.output(), /kept in memory alone/)
  })
  await t.test('no secret is called open to others: root writes and the service reads them', async () => {
    assert.doesNotMatch(server.output(), /holds a secret/)
    assert.doesNotMatch((await xaps(['-c', at('etc/xaps'), 'check'])).stdout, /holds a secret/)
  })
})

/** A root directory in which sysusers.d and tmpfiles.d are as install.md says. */
async function installed(t: TestContext) {
  const temp = owned(t, tempDirectory())
  chmodSync(temp.path, 0o755)
  const at = (...names: string[]) => path.join(temp.path, ...names)
  for (const [from, to] of [
    ['xaps.sysusers', 'sysusers.d'],
    ['xaps.tmpfiles', 'tmpfiles.d'],
  ] as const) {
    mkdirSync(at('etc', to), { recursive: true })
    copyFileSync(path.join(CONTRIB, from), at('etc', to, 'xaps.conf'))
  }
  writeFileSync(at('etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n')
  writeFileSync(at('etc/group'), `root:x:0:\ndovecot:x:${DOVECOT_GROUP}:\n`)
  for (const [tool, ...args] of [['systemd-sysusers'], ['systemd-tmpfiles', '--create']] as const) {
    const { status, stderr } = await run(tool, [`--root=${temp.path}`, ...args, 'xaps.conf'])
    assert.equal(status, 0, stderr)
  }
  const [, uid, gid] = /^xaps:x:(\d+):(\d+):/m.exec(readFileSync(at('etc/passwd'), 'utf8')) ?? []
  return { at, uid: Number(uid), gid: Number(gid) }
}
