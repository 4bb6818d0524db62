/**
 * `npm run test:dovecot-2.4`: the tests that use Dovecot, on 2.4. Where the machine has another one, Debian 13's packages
 * are unpacked into a directory of their own and run by chroot; nothing of the machine is changed. Ends with 1 when a
 * test fails, and with 2 when the tests cannot be run.
 */

import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { CACHE, endWith, ensureRoot, must, runTests, testsWith, Unable } from './debian-13.ts'
import { dialectOf } from './dovecot-conf.ts'
import { find } from './need.ts'

const ROOT = path.join(CACHE, 'trixie')
const PACKAGES = ['dovecot-core', 'dovecot-lmtpd', 'dovecot-imapd', 'dovecot-sieve']

/** The programs that tests start or look for. */
const COMMANDS = [
  '/usr/sbin/dovecot',
  '/usr/bin/doveconf',
  '/usr/bin/doveadm',
  '/usr/bin/sievec',
  '/usr/lib/dovecot/lmtp',
  '/usr/lib/dovecot/imap',
]

function main(): number {
  const env = is24(find('dovecot')) ? process.env : inRoot()
  return runTests(testsWith(/\b(?:start|missing)Dovecot\b/), env)
}

/** Whether `dovecot` is one, and runs. */
function is24(dovecot: string | undefined): boolean {
  if (dovecot === undefined) return false
  const { status, stdout } = spawnSync(dovecot, ['--version'], { encoding: 'utf8' })
  if (status !== 0 || dialectOf(stdout) !== '2.4') return false
  console.log(`The tests run on ${dovecot}, version ${stdout.trim()}`)
  return true
}

/** The environment in which `dovecot` is the one of ROOT, which is made where it is not there. */
function inRoot(): NodeJS.ProcessEnv {
  if (process.getuid?.() !== 0)
    throw new Unable(
      'Only root can chroot: run it as root, or on a machine with Dovecot 2.4, such as Debian 13',
    )
  if (find('chroot') === undefined) throw new Unable('It needs chroot, as Debian has it')
  ensureRoot(ROOT, PACKAGES, furnish)
  const commands = path.join(ROOT, 'commands')
  if (!is24(path.join(commands, 'dovecot')))
    throw new Unable(`The one in ${ROOT} does not run: remove the directory, and it is made again`)
  return {
    ...process.env,
    PATH: `${commands}:${process.env.PATH}`,
    TMPDIR: path.join(ROOT, 'tmp'),
  }
}

/** What Dovecot needs beside its files. */
function furnish(root: string): void {
  for (const name of ['dev', 'etc', 'tmp', 'commands']) mkdirSync(path.join(root, name), { recursive: true })
  chmodSync(path.join(root, 'tmp'), 0o1777)
  for (const [name, minor] of [
    ['null', '3'],
    ['urandom', '9'],
  ] as const)
    must('No device can be made', 'mknod', '-m', '666', path.join(root, 'dev', name), 'c', '1', minor)
  // A name is the same user inside and outside.
  for (const name of ['passwd', 'group']) copyFileSync(`/etc/${name}`, path.join(root, 'etc', name))
  if (!/^dovecot:.*^dovenull:/ms.test(readFileSync('/etc/passwd', 'utf8')))
    throw new Unable('The machine has no users dovecot and dovenull: apt-get install dovecot-core')
  // So is a path: ROOT seen from inside is a link to the top.
  mkdirSync(path.join(root, CACHE), { recursive: true })
  symlinkSync(path.relative(CACHE, '/'), path.join(root, ROOT))
  for (const command of COMMANDS) {
    const file = path.join(root, 'commands', path.basename(command))
    writeFileSync(file, `#!/bin/sh\nexec chroot ${ROOT} ${command} "$@"\n`, { mode: 0o755 })
  }
}

endWith(main, 'the tests on Dovecot 2.4')
