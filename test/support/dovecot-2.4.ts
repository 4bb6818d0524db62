/**
 * `npm run test:dovecot-2.4`: the tests that use Dovecot, on 2.4. Where the machine has another one, Debian 13's packages
 * are unpacked into a directory of their own and run by chroot; nothing of the machine is changed. Ends with 1 when a
 * test fails, and with UNABLE when the tests cannot be run.
 */

import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { dialectOf } from './dovecot-conf.ts'
import { find } from './need.ts'

/** Users without rights must reach the tests' directories in it, so it is not below root's home. */
const CACHE = '/var/cache/haraka-plugin-xaps'
const SUITE = 'trixie'
const ROOT = path.join(CACHE, SUITE)
const PACKAGES = ['dovecot-core', 'dovecot-lmtpd', 'dovecot-imapd', 'dovecot-sieve']
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const DEBIAN = 'http://deb.debian.org/debian'

/** The programs that tests start or look for. */
const COMMANDS = [
  '/usr/sbin/dovecot',
  '/usr/bin/doveconf',
  '/usr/bin/doveadm',
  '/usr/bin/sievec',
  '/usr/lib/dovecot/lmtp',
  '/usr/lib/dovecot/imap',
]

const UNABLE = 2

/** The tests cannot be run; the message says why, and what to do. */
class Unable extends Error {}

function main(): void {
  try {
    process.exitCode = runTests(is24(find('dovecot')) ? process.env : inRoot())
  } catch (error) {
    if (!(error instanceof Unable)) throw error
    console.error(`Not run: the tests on Dovecot 2.4. ${error.message}`)
    process.exitCode = UNABLE
  }
}

function runTests(env: NodeJS.ProcessEnv): number {
  const files = testsOfDovecot(path.join(__dirname, '..'))
  if (files.length === 0) throw new Unable('No test uses Dovecot')
  const args = ['--test', '--test-reporter=spec', '--test-timeout=120000', ...files]
  return spawnSync(process.execPath, args, { env, stdio: 'inherit' }).status ?? 1
}

function testsOfDovecot(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.test.js'))
    .map(name => path.join(directory, name))
    .filter(file => /\b(?:start|missing)Dovecot\b/.test(readFileSync(file, 'utf8')))
    .sort()
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
  if (!existsSync(ROOT)) makeRoot()
  const commands = path.join(ROOT, 'commands')
  if (!is24(path.join(commands, 'dovecot')))
    throw new Unable(`The one in ${ROOT} does not run: remove the directory, and it is made again`)
  return {
    ...process.env,
    PATH: `${commands}:${process.env.PATH}`,
    TMPDIR: path.join(ROOT, 'tmp'),
  }
}

/** Whole or not at all. */
function makeRoot(): void {
  for (const command of ['apt-get', 'dpkg-deb', 'chroot'])
    if (find(command) === undefined) throw new Unable(`It needs ${command}, as Debian has it`)
  if (!existsSync(KEYRING)) throw new Unable(`${KEYRING} is missing: apt-get install debian-archive-keyring`)
  // Whatever root's own may be, others shall be able to read it.
  process.umask(0o022)
  const part = `${ROOT}.part`
  rmSync(part, { recursive: true, force: true })
  mkdirSync(part, { recursive: true })
  try {
    unpack(part, download(part))
    furnish(part)
    renameSync(part, ROOT)
  } finally {
    rmSync(part, { recursive: true, force: true })
  }
}

/** Fetches PACKAGES and all that they need, into a fresh state of apt, and returns the paths of the .deb files. */
function download(root: string): string[] {
  const apt = path.join(root, 'apt')
  mkdirSync(path.join(apt, 'lists/partial'), { recursive: true })
  mkdirSync(path.join(apt, 'archives/partial'), { recursive: true })
  const sources = path.join(apt, 'sources.list')
  const mirror = machinesMirror()
  writeFileSync(sources, `deb [signed-by=${KEYRING}] ${mirror} ${SUITE} main\n`)
  writeFileSync(path.join(apt, 'status'), '')
  const options = [
    `Dir::State=${apt}`,
    `Dir::State::status=${path.join(apt, 'status')}`,
    `Dir::Cache=${apt}`,
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=-',
    'APT::Sandbox::User=root',
    'Acquire::Languages=none',
    'Acquire::Retries=2',
    'Acquire::http::Timeout=30',
  ].flatMap(option => ['-o', option])
  console.log(`Fetching Dovecot of Debian's ${SUITE} into ${ROOT}`)
  const aptGet = (...args: string[]) =>
    must(`${mirror} does not give it: can it be reached?`, 'apt-get', ...options, '-qq', ...args)
  // A list that cannot be fetched is a warning, unless it is asked to be an error.
  aptGet('-o', 'APT::Update::Error-Mode=any', 'update')
  aptGet('install', '-y', '--no-install-recommends', '--download-only', ...PACKAGES)
  const archives = path.join(apt, 'archives')
  return readdirSync(archives)
    .filter(name => name.endsWith('.deb'))
    .map(name => path.join(archives, name))
}

/** The first that apt is configured with for Debian itself; Debian's own where there is none. */
function machinesMirror(): string {
  const args = ['indextargets', '--format', '$(REPO_URI)', 'Identifier: Packages', 'Label: Debian']
  const { stdout } = spawnSync('apt-get', args, { encoding: 'utf8' })
  return stdout.split('\n')[0]?.trim() || DEBIAN
}

/** Runs no script of a package. */
function unpack(root: string, packages: readonly string[]): void {
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    mkdirSync(path.join(root, 'usr', name), { recursive: true })
    symlinkSync(`usr/${name}`, path.join(root, name))
  }
  for (const file of packages) must('A package cannot be unpacked', 'dpkg-deb', '-x', file, root)
  rmSync(path.join(root, 'apt'), { recursive: true })
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

/** Runs it to its end; an exit status other than 0 is Unable, with `why`. */
function must(why: string, command: string, ...args: string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Unable(`${why} (${command}: ${error?.message ?? `exit status ${status}`})`)
}

main()
