/**
 * `npm run apple`: the stand-in alone, so that an operator can point a Haraka at it and see what it pushes, and what
 * it does when Apple is slow, refuses or is gone.
 */

import { once } from 'node:events'
import path from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { maskToken, reasonOf } from '../../../plugins/xaps/base/log.ts'
import { tempDirectory } from '../../support/temp.ts'
import { MAIL_TOPIC } from './certificates.ts'
import type { Environment } from './connection.ts'
import { type Credentials, openDirectory } from './directory.ts'
import type { Faults } from './faults.ts'
import type { PushRequest } from './journal.ts'
import { isReason, REASONS, type Reason } from './reasons.ts'
import { startApple } from './server.ts'

/** The faults that need no further value, by the name that --fault takes. */
const FAULTS: Readonly<Record<string, (faults: Faults) => void>> = {
  hang: faults => faults.hang(),
  'reset-streams': faults => faults.resetStreams(),
  'black-hole': faults => faults.blackHole('all'),
}

interface Options {
  readonly port: number
  readonly host: string
  readonly name: string
  readonly dir?: string
  readonly topic: string
  readonly environment: Environment
  readonly passphrase: string
  readonly streams: number
  readonly latency: number
  readonly reason?: Reason
  readonly status?: number
  readonly retryAfter?: number
  readonly times?: number
  readonly slowStart: number
  readonly fault?: string
}

function command(): Command {
  return new Command('apple')
    .description("Apple's push service on this machine, for trying out; no phone will ever hear of it")
    .option('--port <port>', 'where to listen; 0: a free port', whole, 2197)
    .option('--host <address>', 'the address to listen on', '127.0.0.1')
    .option('--name <name>', 'how Haraka reaches it: stands in its certificate', 'localhost')
    .option('--dir <directory>', 'keeps certificates and keys over restarts (default: new ones each time)')
    .option('--topic <topic>', 'topic of a new push certificate', MAIL_TOPIC)
    .addOption(new Option('--environment <name>').choices(['production', 'sandbox']).default('production'))
    .option('--passphrase <passphrase>', 'locks push.p12', 'secret')
    .option('--streams <number>', 'concurrent streams per connection', whole, 1000)
    .option('--latency <ms>', 'every answer takes that long', whole, 0)
    .option('--reason <reason>', 'refuse every push, for example Unregistered', reason)
    .option('--status <status>', "the refusal's status, when it is not the one Apple gives with it", whole)
    .option('--retry-after <seconds>', 'with --reason', whole)
    .option('--times <number>', 'with --reason: only so many pushes', whole)
    .option('--slow-start <ms>', 'TLS begins only after that long', whole, 0)
    .addOption(new Option('--fault <name>', 'break something').choices(Object.keys(FAULTS)))
}

function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Expected a whole number.')
  return Number(text)
}

function reason(text: string): Reason {
  if (!isReason(text)) throw new InvalidArgumentError(`Expected one of ${Object.keys(REASONS).join(', ')}.`)
  return text
}

function breakThings(faults: Faults, options: Options): void {
  const { latency, slowStart, fault, status, retryAfter, times } = options
  faults.latency(latency)
  if (slowStart > 0) faults.slowStart(slowStart)
  const given = options.reason ?? (status === undefined ? undefined : reasonFor(status))
  const more = Object.entries({ status, retryAfter, times }).filter(([, value]) => value !== undefined)
  if (given) faults.answer(given, Object.fromEntries(more))
  if (fault) FAULTS[fault]?.(faults)
}

/** The first of Apple's reasons with this status. */
function reasonFor(status: number): Reason {
  const known = Object.keys(REASONS) as Reason[]
  return known.find(name => REASONS[name] === status) ?? 'InternalServerError'
}

/** The [apns] section that makes a Haraka push to this stand-in, with each of the three kinds of credentials. */
function iniLines(
  dir: string,
  port: number,
  { name, environment, passphrase }: Options,
  made: Credentials,
): string {
  const file = (name: string) => path.resolve(dir, name)
  return `[apns]
host = ${name}
port = ${port}
ca = ${file('ca.pem')}
environment = ${environment}
certificate = ${file('certificate.pem')}
key = ${file('key.pem')}

; instead of certificate and key:
;pkcs12 = ${file('push.p12')}
;passphrase = ${passphrase}

; or:
;token_key = ${file('AuthKey.p8')}
;key_id = ${made.providerKey.keyId}
;team_id = ${made.providerKey.teamId}
;topic = ${made.topic}
`
}

/** `12:34:56.789 200 0a1b2c3d…9f8e com.apple.mail.… background priority 5 account …` */
function pushLine(request: PushRequest): string {
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

async function run(options: Options): Promise<void> {
  const { port, host, name, environment, streams } = options
  const dir = options.dir ?? tempDirectory('xaps-apple-').path
  const made = openDirectory(dir, options)
  const apple = await startApple({
    port,
    host,
    name,
    environment,
    authority: made.authority,
    providerKeys: [made.providerKey],
    maxConcurrentStreams: streams,
    record: false,
    onRequest: request => console.log(pushLine(request)),
  })
  breakThings(apple.faults, options)
  console.log(iniLines(dir, apple.port, options, made))
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  await apple.close()
  console.log(`${apple.counts.accepted} of ${apple.counts.requests} pushes were accepted`)
}

run(command().parse().opts<Options>()).catch((error: unknown) => {
  console.error(`apple: ${reasonOf(error)}`)
  process.exitCode = 1
})
