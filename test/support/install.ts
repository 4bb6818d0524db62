/**
 * `npm test` runs this first: installs the real servers that the tests need, where that is possible. Ends with 1
 * only where CI is set and something is still missing.
 */

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { find } from './need.ts'

interface Need {
  readonly command: string
  /** Debian's package of it. */
  readonly package: string
  readonly tests: string
}

const NEEDS: readonly Need[] = [
  { command: 'redis-server', package: 'redis-server', tests: 'the device store over Redis' },
  { command: 'dovecot', package: 'dovecot-core', tests: 'delivery into a real Maildir' },
  { command: 'lmtp', package: 'dovecot-lmtpd', tests: 'delivery into a real Maildir' },
  { command: 'systemd-analyze', package: 'systemd', tests: 'the unit for systemd' },
  { command: 'sievec', package: 'dovecot-sieve', tests: 'new mail told by the event exporter' },
  { command: 'chromium', package: 'chromium', tests: 'the status page in a browser' },
  { command: 'imap', package: 'dovecot-imapd', tests: 'reading mail as a phone does' },
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
  // RUNLEVEL=1 keeps sysvinit from starting the services of new packages; systemd does not look at it.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  const { status, error } = spawnSync('apt-get', [...APT_OPTIONS, ...args], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (error) console.error(`apt-get: ${error.message}`)
  return status === 0
}

function install(needs: readonly Need[]): void {
  const packages = [...new Set(needs.map(need => need.package))]
  console.log(`Installing what the tests need: apt-get install ${packages.join(' ')}`)
  // A source that cannot be updated need not be the one these packages come from.
  if (!aptGet('update', '-q')) console.log('apt-get update failed; trying to install all the same')
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
  if (before.length > 0 && mayInstall()) install(before)
  const after = stillMissing()
  if (after.length === 0) return
  report(after)
  if (process.env.CI) process.exitCode = 1
}

main()
