/** An installation that works, and what breaks it: a table, for the page that says what to do then. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import path from 'node:path'
import { findGroup } from '../../plugins/xaps/base/accounts.ts'
import { phoneOf, registerByLine } from '../e2e/dovecot-plugins.ts'
import { serve } from '../e2e/run.ts'
import { type Directory, makeDirectory, OK, type Sections } from '../e2e/setup.ts'
import { makeAuthority, pushCertificate } from '../fake/apple/certificates.ts'
import { listenLocally } from '../support/loopback.ts'
import { owned, type Scope } from '../support/owned.ts'
import { missingRedis, startRedis } from '../support/redis.ts'
import { freePort } from '../support/server.ts'
import { tempDirectory } from '../support/temp.ts'

export const ALICE = phoneOf('alice@example.org')

/** A companion by itself, at whose socket Alice's phone has registered. All ends with the test. */
export async function startInstallation(t: Scope, more: Sections = {}): Promise<Directory> {
  const registration = { listen: `127.0.0.1:${await freePort()}`, enabled: 'false' }
  const here = await makeDirectory(t, { xaps: { registration, ...more } })
  owned(t, await serve(here.dir))
  assert.equal(await registerByLine(here.socket, ALICE), OK)
  return here
}

type Break = (here: Directory, t: Scope) => unknown

export interface Breakage {
  /** Whether it can be tried here, as a test's `skip`. */
  readonly skip?: string | false
  /** The command that tells. Default: check. */
  readonly command?: readonly string[]
  /** What must be there before the start: sections of xaps.ini, and how it is broken afterwards. */
  readonly before?: (t: Scope) => Promise<{ readonly sections: Sections; breakIt(): unknown }>
  readonly breakIt?: Break
}

/** Adds to xaps.ini, where the last value of a key counts. */
const adding =
  (section: string, setting: string): Break =>
  ({ dir }) =>
    fs.appendFileSync(path.join(dir, 'config', 'xaps.ini'), `\n[${section}]\n${setting}\n`)

const writing =
  (credentials: Partial<ReturnType<typeof pushCertificate>>): Break =>
  ({ keys }) => {
    const { certificate, key } = credentials
    if (certificate !== undefined) fs.writeFileSync(path.join(keys, 'push.pem'), certificate)
    if (key !== undefined) fs.writeFileSync(path.join(keys, 'push.key'), key)
  }

const ENDED = { notBefore: new Date('2024-01-01'), notAfter: new Date('2025-01-01') }

/** What each of the others that change xaps.ini leads to as well. */
export const CHANGED = 'a companion with the configuration of before'

export const BREAKAGES: Readonly<Record<string, Breakage>> = {
  nothing: { command: ['push', ALICE.user] },
  'a key that is none': { breakIt: writing({ key: 'abc' }) },
  'the key of another certificate': { breakIt: writing({ key: pushCertificate().key }) },
  'a certificate that is not of Apple': { breakIt: writing(pushCertificate({ issuer: makeAuthority() })) },
  'a certificate that has ended': { breakIt: writing(pushCertificate(ENDED)) },
  'a certificate for another topic': {
    breakIt: writing(pushCertificate({ topic: 'com.apple.mobilemail.push.org.example' })),
  },
  'a wrong topic': { breakIt: adding('apns', 'topic = com.apple.mobilemail.push.org.wrong') },
  'the sandbox': { breakIt: adding('apns', 'environment = sandbox') },
  'a socket that Dovecot may not open': {
    skip: findGroup('dovecot') === undefined && 'not run: there is no group dovecot here',
    breakIt: ({ socket }) => fs.chmodSync(socket, 0o600),
  },
  'a companion that does not run': { breakIt: ({ socket }) => fs.rmSync(socket) },
  [CHANGED]: { breakIt: adding('push', 'window = 60') },
  'Redis down': { skip: missingRedis(), before: redisThatEnds },
  'Redis up': { skip: missingRedis(), before: redisThatStays },
  'users of the other form': { breakIt: adding('users', 'username = local_part') },
  'a name in another form': { command: ['push', 'alice'] },
  'a phone that is gone': {
    command: ['push', ALICE.user],
    breakIt: ({ apple }) => apple.faults.answerDevice(ALICE.token, 'Unregistered'),
  },
  'Apple that takes no connection': { breakIt: adding('apns', 'port = 1') },
  'Apple without an address': { breakIt: adding('apns', 'host = api.push.apple.invalid') },
  'a full disk': { skip: noSmallDisk(), before: diskThatFills },
  'a key of xaps.ini that there is not': { breakIt: adding('push', 'windwo = 5') },
  'a value that is none': { breakIt: adding('apns', 'environment = prod') },
  'a secret open to others': {
    breakIt: ({ keys }) => {
      fs.chmodSync(keys, 0o755)
      fs.chmodSync(path.join(keys, 'push.key'), 0o644)
    },
  },
  'a port that something else has': {
    breakIt: async (here, t) => {
      const { port } = owned(t, await listenLocally(socket => socket.end('220 something else\r\n')))
      adding('registration', `listen = 127.0.0.1:${port}`)(here, t)
    },
  },
}

async function redisThatEnds(t: Scope) {
  const redis = owned(t, await startRedis())
  return { sections: { store: { uri: redis.uri } }, breakIt: () => redis.kill() }
}

async function redisThatStays(t: Scope) {
  return { ...(await redisThatEnds(t)), breakIt: () => undefined }
}

function mountOn(dir: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=0755', 'tmpfs', dir], { stdio: 'ignore' })
}

/** Why no disk can be filled here. */
function noSmallDisk(): string | false {
  const { path: dir, remove } = tempDirectory()
  try {
    mountOn(dir)
    execFileSync('umount', [dir])
    return false
  } catch {
    return 'not run: no file system can be mounted here'
  } finally {
    remove()
  }
}

async function diskThatFills(t: Scope) {
  const { path: dir, remove } = tempDirectory()
  mountOn(dir)
  // Open files are closed by what ends later.
  owned(t, { close: () => execFileSync('umount', ['--lazy', dir]) && remove() })
  const fill = () => fs.writeFileSync(path.join(dir, 'filler'), Buffer.alloc(16_000_000))
  return { sections: { store: { uri: `lmdb:${dir}/xaps` } }, breakIt: () => assert.throws(fill, /ENOSPC/) }
}
