/** Packages of Debian 13 in a directory of their own, for machines with another Debian. Runs nothing and changes nothing else. */

import { spawnSync } from 'node:child_process'
import {
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
import { find } from './need.ts'

/** Users without rights must reach the tests' directories in it, so it is not below root's home. */
export const CACHE = '/var/cache/haraka-plugin-xaps'
const SUITE = 'trixie'
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const DEBIAN = 'http://deb.debian.org/debian'

/** The tests cannot be run; the message says why, and what to do. */
export class Unable extends Error {}

/** The exit status of a script that ended so. */
const UNABLE = 2

/** Ends with what `work` returns, or with UNABLE. `what`: the tests, for the message. */
export function endWith(work: () => number, what: string): void {
  try {
    process.exitCode = work()
  } catch (error) {
    if (!(error instanceof Unable)) throw error
    console.error(`Not run: ${what}. ${error.message}`)
    process.exitCode = UNABLE
  }
}

/** Runs compiled tests to their end, and returns the exit status. */
export function runTests(files: readonly string[], env: NodeJS.ProcessEnv): number {
  if (files.length === 0) throw new Unable('There are none')
  const args = ['--test', '--test-reporter=spec', '--test-timeout=120000', ...files]
  return spawnSync(process.execPath, args, { env, stdio: 'inherit' }).status ?? 1
}

/** The compiled tests whose text matches `pattern`. */
export function testsWith(pattern: RegExp): string[] {
  const directory = path.join(__dirname, '..')
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.test.js'))
    .map(name => path.join(directory, name))
    .filter(file => pattern.test(readFileSync(file, 'utf8')))
    .sort()
}

/**
 * Fetches `packages` with all that they need, and unpacks them into `root`, where `furnish` completes them: whole or not at
 * all, and once. Runs no script of a package.
 */
export function ensureRoot(
  root: string,
  packages: readonly string[],
  furnish: (root: string) => void = () => undefined,
): void {
  if (existsSync(root)) return
  for (const command of ['apt-get', 'dpkg-deb'])
    if (find(command) === undefined) throw new Unable(`It needs ${command}, as Debian has it`)
  if (!existsSync(KEYRING)) throw new Unable(`${KEYRING} is missing: apt-get install debian-archive-keyring`)
  // Whatever root's own may be, others shall be able to read it.
  process.umask(0o022)
  const part = `${root}.part`
  rmSync(part, { recursive: true, force: true })
  mkdirSync(part, { recursive: true })
  try {
    console.log(`Fetching ${packages.join(', ')} of Debian's ${SUITE} into ${root}`)
    unpack(part, download(part, packages))
    furnish(part)
    renameSync(part, root)
  } finally {
    rmSync(part, { recursive: true, force: true })
  }
}

/** Into a fresh state of apt. Returns the paths of the .deb files. */
function download(root: string, packages: readonly string[]): string[] {
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
  const aptGet = (...args: string[]) =>
    must(`${mirror} does not give it: can it be reached?`, 'apt-get', ...options, '-qq', ...args)
  // A list that cannot be fetched is a warning, unless it is asked to be an error.
  aptGet('-o', 'APT::Update::Error-Mode=any', 'update')
  aptGet('install', '-y', '--no-install-recommends', '--download-only', ...packages)
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

function unpack(root: string, packages: readonly string[]): void {
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    mkdirSync(path.join(root, 'usr', name), { recursive: true })
    symlinkSync(`usr/${name}`, path.join(root, name))
  }
  for (const file of packages) must('A package cannot be unpacked', 'dpkg-deb', '-x', file, root)
  rmSync(path.join(root, 'apt'), { recursive: true })
}

/** Runs it to its end; an exit status other than 0 is Unable, with `why`. */
export function must(why: string, command: string, ...args: string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Unable(`${why} (${command}: ${error?.message ?? `exit status ${status}`})`)
}
