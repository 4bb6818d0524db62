/**
 * `npm test` runs this first: installs the real servers that the tests need, where that is possible. Ends with 1
 * only where CI is set and something is still missing.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { find, UNPACKED } from './need.ts'

interface Need {
  readonly command: string
  /** Debian's package of it. */
  readonly package: string
  readonly tests: string
  /** Its path in the package, where it alone is unpacked: the package is large, or starts a server. */
  readonly alone?: string
}

const NEEDS: readonly Need[] = [
  { command: 'redis-server', package: 'redis-server', tests: 'the device store over Redis' },
  { command: 'dovecot', package: 'dovecot-core', tests: 'delivery into a real Maildir' },
  { command: 'lmtp', package: 'dovecot-lmtpd', tests: 'delivery into a real Maildir' },
  { command: 'systemd-analyze', package: 'systemd', tests: 'the unit for systemd' },
  { command: 'sievec', package: 'dovecot-sieve', tests: 'new mail told by the event exporter' },
  { command: 'chromium', package: 'chromium', tests: 'the status page in a browser' },
  { command: 'imap', package: 'dovecot-imapd', tests: 'reading mail as a phone does' },
  {
    command: 'promtool',
    package: 'prometheus',
    tests: 'metrics and alert rules',
    alone: 'usr/bin/promtool',
  },
  { command: 'zsh', package: 'zsh', tests: 'completion of the command in zsh' },
  { command: 'groff', package: 'groff-base', tests: 'the manual page' },
  { command: 'man', package: 'man-db', tests: 'the manual page' },
]

/** Another apt may be at work on the machine; and a mirror that does not answer must not hold the tests for long. */
const APT_OPTIONS = [
  '-o',
  'DPkg::Lock::Timeout=120',
  '-o',
  'Acquire::Retries=2',
  '-o',
  'Acquire::http::Timeout=30',
]

function stillMissing(): Need[] {
  return NEEDS.filter(need => find(need.command) === undefined)
}

function mayInstall(): boolean {
  return process.getuid?.() === 0 && find('apt-get') !== undefined
}

/** True when apt-get did it. The tests start instances of their own, so no service of the system is wanted. */
function aptGet(...args: string[]): boolean {
  return succeeds('apt-get', [...APT_OPTIONS, ...args])
}

function succeeds(command: string, args: readonly string[], cwd = process.cwd()): boolean {
  // RUNLEVEL=1 keeps sysvinit from starting the services of new packages; systemd does not look at it.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  const { status, error } = spawnSync(command, args, { cwd, env, stdio: ['ignore', 'ignore', 'inherit'] })
  if (error) console.error(`${command}: ${error.message}`)
  return status === 0
}

function obtain(needs: readonly Need[]): void {
  // A source that cannot be updated need not be the one these packages come from.
  if (!aptGet('update', '-q')) console.log('apt-get update failed; trying to install all the same')
  for (const need of needs) if (need.alone !== undefined) unpack(need, need.alone)
  const whole = needs.filter(need => need.alone === undefined)
  if (whole.length > 0) install(whole)
}

/** Puts one program of a package into UNPACKED, and nothing else of it anywhere. */
function unpack(need: Need, program: string): void {
  console.log(`Unpacking ${need.command} of Debian's package ${need.package} into ${UNPACKED}`)
  mkdirSync(UNPACKED, { recursive: true, mode: 0o755 })
  const directory = mkdtempSync(path.join(UNPACKED, 'part-'))
  try {
    const options = [...APT_OPTIONS, '-o', 'APT::Sandbox::User=root']
    if (!succeeds('apt-get', [...options, 'download', '-q', need.package], directory)) return
    const [archive = ''] = readdirSync(directory)
    if (!succeeds('dpkg-deb', ['-x', archive, '.'], directory)) return
    renameSync(path.join(directory, program), path.join(UNPACKED, need.command))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function install(needs: readonly Need[]): void {
  const packages = [...new Set(needs.map(need => need.package))]
  console.log(`Installing what the tests need: apt-get install ${packages.join(' ')}`)
  if (!aptGet('install', '-q', '-y', '--no-install-recommends', ...packages)) {
    console.log('apt-get install failed, for the reason above')
    return
  }
  if (existsSync('/run/systemd/system')) console.log(startedNote(packages))
}

/** Debian starts the services of what it installs; on a machine with systemd they now run and start at boot. */
function startedNote(packages: readonly string[]): string {
  const services = ['redis-server', 'dovecot'].filter(service =>
    packages.some(name => name.startsWith(service)),
  )
  return [
    `systemd has started ${services.join(' and ')}, which the tests do not use.`,
    `To turn off what you do not want: systemctl disable --now ${services.join(' ')}`,
  ].join('\n')
}

function report(needs: readonly Need[]): void {
  for (const need of needs) console.log(`Not run without ${need.command}: ${need.tests}`)
  const packages = [...new Set(needs.map(need => need.package))].join(' ')
  console.log(`To run all tests: sudo apt-get install --no-install-recommends ${packages}`)
}

function main(): void {
  const before = stillMissing()
  if (before.length > 0 && mayInstall()) obtain(before)
  const after = stillMissing()
  if (after.length === 0) return
  report(after)
  if (process.env.CI) process.exitCode = 1
}

main()
