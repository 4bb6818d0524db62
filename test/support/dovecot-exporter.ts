/** Lines for dovecot.conf, in the language of its version, with which a private Dovecot tells what becomes of mails. */

import type { Dialect } from './dovecot-conf.ts'

const DELIVERIES = 'event=sieve_action_finished OR event=mail_delivery_finished'

/** The event exporter by HTTP, to a port of 127.0.0.1. */
export function exporterByHttp(port: number, dialect: Dialect, filter = DELIVERIES): string {
  const url = `http://127.0.0.1:${port}/event`
  const lines =
    dialect === '2.3'
      ? [
          'format_args = time-rfc3339',
          'transport = http-post',
          `transport_args = ${url}`,
          'transport_timeout = 1 secs',
        ]
      : [
          'driver = http-post',
          'time_format = rfc3339',
          `http_post_url = ${url}`,
          'http_client_request_absolute_timeout = 1 secs',
        ]
  return exporter(lines, filter)
}

function exporter(lines: readonly string[], filter: string): string {
  return `event_exporter xaps {
  format = json
  ${lines.join('\n  ')}
}
metric xaps {
  exporter = xaps
  exporter_include = name fields
  filter = ${filter}
}
`
}

/** The event exporter by a Unix socket, which only 2.4 has. */
export function exporterByUnix(file: string): string {
  return exporter(['driver = unix', 'time_format = rfc3339', `unix_path = ${file}`], DELIVERIES)
}

/** Sieve in LMTP: `script` is a path, in which %d (2.3) or %{user | domain} (2.4) stand for the user's domain. */
export function sieve(script: string, dialect: Dialect): string {
  if (dialect === '2.3')
    return `protocol lmtp {\n  mail_plugins = $mail_plugins sieve\n}\nplugin {\n  sieve = file:${script}\n}\n`
  return `protocol lmtp {\n  mail_plugins {\n    sieve = yes\n  }\n}\nsieve_script personal {\n  path = ${script}\n}\n`
}
