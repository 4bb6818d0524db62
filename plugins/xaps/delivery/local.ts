/** Whether the domain of a recipient is ours. Knows of Haraka only the lists of its local domains. */

import { type Log, reasonOf } from '../base/log.ts'
import type { Mode } from './address.ts'

/** Haraka's configuration, as far as we read it through Haraka. */
export interface HarakaLists {
  /** The lines of a list in the config directory. `changed` is called a few seconds after the file changes. */
  get(file: string, type: 'list', changed: () => void): string[]
}

/**
 * Returns a function: whether mail to `host` (lower case) that was handed over by `mode` has reached one of our users. LMTP
 * is final delivery and always local (RFC 2033); for SMTP the domain decides. `domains` is [delivery] domains: `*` is any
 * domain, `host_list` stands for Haraka's own lists, which are read again when they change. It may change, too.
 */
export function watchLocalDomains(
  settings: { readonly domains: readonly string[] },
  lists: HarakaLists,
  log: Pick<Log, 'error'>,
): (host: string, mode: Mode) => boolean {
  let domains: readonly string[] = []
  let named: ReadonlySet<string> = new Set()
  let listed: ((host: string) => boolean) | undefined
  const look = (): void => {
    if (settings.domains === domains) return
    domains = settings.domains
    named = new Set(domains.map(domain => domain.toLowerCase()))
    if (domains.includes('host_list')) listed ??= watchHostLists(lists, log)
  }
  const isNamed = (host: string) =>
    named.has('*') || named.has(host) || (domains.includes('host_list') && listed?.(host) === true)
  look()
  return (host, mode) => {
    look()
    return mode === 'LMTP' || (host !== '' && isNamed(host))
  }
}

/** config/host_list and host_list_regex, matched as rcpt_to.in_host_list does. */
function watchHostLists(lists: HarakaLists, log: Pick<Log, 'error'>): (host: string) => boolean {
  let hosts: ReadonlySet<string>
  let pattern: RegExp
  const readHosts = () => {
    hosts = new Set(lists.get('host_list', 'list', readHosts).map(host => host.toLowerCase()))
  }
  const readPatterns = () => {
    pattern = anyOf(lists.get('host_list_regex', 'list', readPatterns), log)
  }
  readHosts()
  readPatterns()
  return host => hosts.has(host) || pattern.test(host)
}

const NOTHING = /(?!)/

function anyOf(patterns: readonly string[], log: Pick<Log, 'error'>): RegExp {
  if (patterns.length === 0) return NOTHING
  try {
    return new RegExp(`^(?:${patterns.join('|')})$`, 'i')
  } catch (error) {
    log.error('config/host_list_regex cannot be used; only config/host_list counts', {
      reason: reasonOf(error),
    })
    return NOTHING
  }
}
