/** Starts what docs/several-hosts.md prints, in the order of the page. All ends with the test. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { copyFileSync } from 'node:fs'
import path from 'node:path'
import type { Apple } from '../fake/apple/server.ts'
import { type Dovecot, startDovecot } from '../support/dovecot.ts'
import { dialectOf } from '../support/dovecot-conf.ts'
import { type Haraka, startHaraka } from '../support/haraka.ts'
import { find } from '../support/need.ts'
import { owned, type Scope } from '../support/owned.ts'
import { startRedisProgram } from '../support/redis.ts'
import { accepts, type ServerProcess } from '../support/server.ts'
import { until } from '../support/wait.ts'
import { type Host, type Hosts, LMTP_PORT } from './printed-hosts.ts'
import { run, serve } from './run.ts'
import { appleKeys, iniText } from './setup.ts'

/** Where the certificates go, by the page's table: host, directory, name of the authority's. */
const CERTIFIED: readonly (readonly [Host, string, string])[] = [
  ['redis1', '/etc/redis', 'ca.pem'],
  ['redis2', '/etc/redis', 'ca.pem'],
  ['mx1', '/etc/redis', 'ca.pem'],
  ['mx1', '/etc/haraka', 'redis-ca.pem'],
  ['mx2', '/etc/haraka', 'redis-ca.pem'],
  ['imap1', '/etc/xaps/config', 'redis-ca.pem'],
  ['imap2', '/etc/xaps/config', 'redis-ca.pem'],
]

/** Runs the page's script, and puts what it makes where the page says. */
export async function certify(hosts: Hosts): Promise<void> {
  const cwd = hosts.directory('admin', '/')
  const { status, stderr } = await run('sh', ['-c', hosts.text('admin', 'certificates.sh')], { cwd })
  assert.equal(status, 0, stderr)
  for (const [host, where, authority] of CERTIFIED) {
    const names = { 'ca.pem': authority, [`${host}.pem`]: 'redis.pem', [`${host}.key`]: 'redis.key' }
    for (const [from, to] of Object.entries(names))
      copyFileSync(path.join(cwd, from), path.join(hosts.directory(host, where), to))
  }
}

const REDIS_CONF = '/etc/redis/redis.conf'
const SENTINEL_CONF = '/etc/redis/sentinel.conf'

/** Redis as master on redis1 and as replica on redis2, and a sentinel on each of three. */
export async function startRedisHosts(t: Scope, hosts: Hosts) {
  hosts.write('redis1', REDIS_CONF, hosts.text('redis1', REDIS_CONF))
  hosts.write('redis2', REDIS_CONF, hosts.likeRedis1('redis2', REDIS_CONF) + hosts.text('redis2', REDIS_CONF))
  const master = await startRedisOn(t, hosts, 'redis1')
  await startRedisOn(t, hosts, 'redis2')
  const sentinels = await Promise.all(
    (['redis1', 'redis2', 'mx1'] as const).map(async host => {
      const file = hosts.write(host, SENTINEL_CONF, hosts.likeRedis1(host, SENTINEL_CONF))
      hosts.directory(host, '/var/lib/redis')
      return started(t, [file, '--sentinel'], /\+monitor/)
    }),
  )
  return { master, sentinels }
}

/** Starts Redis on `host` with the file that is there, and resolves when it takes connections. */
export function startRedisOn(t: Scope, hosts: Hosts, host: Host): Promise<ServerProcess> {
  hosts.directory(host, '/var/lib/redis')
  const file = path.join(hosts.directory(host, '/'), REDIS_CONF)
  return started(t, [file], /Ready to accept connections/)
}

/** By SIGTERM a master waits for its replica, which may have ended before. */
async function started(t: Scope, args: readonly string[], ready: RegExp): Promise<ServerProcess> {
  const server = startRedisProgram(args)
  owned(t, { stop: () => server.stop('SIGKILL') })
  await server.waitForOutput(ready)
  return server
}

/** Dovecot on imap1 or imap2, reached by LMTP where the page says, and `xaps serve` beside it. */
export async function startImap(
  t: Scope,
  hosts: Hosts,
  apple: Apple,
  { host, users }: { readonly host: 'imap1' | 'imap2'; readonly users: readonly string[] },
): Promise<Dovecot> {
  const version = execFileSync(find('dovecot') ?? 'dovecot', ['--version'], { encoding: 'utf8' })
  const own = hosts
    .text('imap1', '/etc/dovecot/local.conf', `Dovecot ${dialectOf(version)}`)
    .replace(hosts.address('imap1'), hosts.address(host))
  const dovecot = owned(t, await startDovecot({ users, config: own }))
  await until(
    () => accepts({ host: hosts.address(host), port: LMTP_PORT }),
    `Dovecot on ${host} to listen for the MX hosts`,
  )
  hosts.directory(host, '/run/xaps')
  hosts.write(host, '/etc/xaps/config/xaps.ini', xapsIni(hosts, apple, host, '/etc/xaps/config'))
  owned(t, await serve(hosts.directory(host, '/etc/xaps')))
  return dovecot
}

/** Haraka on mx1 or mx2, with the files of the page. */
export async function startMx(t: Scope, hosts: Hosts, apple: Apple, host: 'mx1' | 'mx2'): Promise<Haraka> {
  const printed = (name: string) => hosts.text(host, `/etc/haraka/config/${name}`)
  const lmtp = hosts.text('mx1', '/etc/haraka/config/lmtp.ini')
  const backend = host === 'mx1' ? lmtp : lmtp.replace(hosts.address('imap1'), hosts.address('imap2'))
  return owned(
    t,
    await startHaraka({
      plugins: printed('plugins').trim().split('\n'),
      config: { host_list: printed('host_list'), 'lmtp.ini': backend },
      xapsIni: xapsIni(hosts, apple, host, '/etc/haraka'),
    }),
  )
}

/** The page's, with credentials for the stand-in in `where`, and told where that is. */
function xapsIni(hosts: Hosts, apple: Apple, host: Host, where: string): string {
  const directory = hosts.directory(host, where)
  const { certificate: _, key: __, ...place } = appleKeys(apple, directory) ?? {}
  const name = host.startsWith('mx') ? '/etc/haraka/config/xaps.ini' : '/etc/xaps/config/xaps.ini'
  return hosts.text(host, name).replace('[apns]\n', iniText({ apns: place }))
}
