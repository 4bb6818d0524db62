/** What `npm run apple` prints: the lines for xaps.ini, then one line per push. Pure. */

import path from 'node:path'
import { maskToken } from '../../../plugins/xaps/base/log.ts'
import type { Environment } from './connection.ts'
import type { PushRequest } from './journal.ts'
import type { TrustedKey } from './provider-key.ts'

export interface Endpoint {
  readonly directory: string
  readonly host: string
  readonly port: number
  readonly environment: Environment
  readonly topic: string
  readonly passphrase: string
  readonly key: TrustedKey
}

/** The [apns] section that makes a Haraka push to this stand-in, with each of the three kinds of credentials. */
export function iniLines(endpoint: Endpoint): string {
  const file = (name: string) => path.resolve(endpoint.directory, name)
  return `[apns]
host = ${endpoint.host}
port = ${endpoint.port}
ca = ${file('ca.pem')}
environment = ${endpoint.environment}
certificate = ${file('certificate.pem')}
key = ${file('key.pem')}

; instead of certificate and key:
;pkcs12 = ${file('push.p12')}
;passphrase = ${endpoint.passphrase}

; or:
;token_key = ${file('AuthKey.p8')}
;key_id = ${endpoint.key.keyId}
;team_id = ${endpoint.key.teamId}
;topic = ${endpoint.topic}
`
}

/** `12:34:56.789 200 0a1b2c3d…9f8e com.apple.mail.… background priority 5 account …` */
export function pushLine(request: PushRequest): string {
  const { headers } = request
  const priority = headers['apns-priority']
  return [
    new Date(request.epoch).toISOString().slice(11, 23),
    request.status === undefined ? 'no answer' : [request.status, request.reason].filter(Boolean).join(' '),
    request.token === '' ? '(no token)' : maskToken(request.token),
    request.topic ?? '(no topic)',
    headers['apns-push-type'] ?? '(no push type)',
    priority === undefined ? 'no priority' : `priority ${priority}`,
    `account ${accountIn(request.payload) ?? '(none)'}`,
    `connection ${request.session}`,
  ].join(' ')
}

function accountIn(payload: PushRequest['payload']): unknown {
  return (payload?.aps as Record<string, unknown> | undefined)?.['account-id']
}
