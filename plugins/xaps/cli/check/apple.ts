/** Sends one push to Apple. Where none gets there, tries the way to Apple step by step: which one fails says what to do. */

import { lookup } from 'node:dns/promises'
import net from 'node:net'
import tls from 'node:tls'
import { adviceFor } from '../../apns/advice.ts'
import { type Credentials, certificateTopics } from '../../apns/credentials.ts'
import { Transport } from '../../apns/transport.ts'
import { within } from '../../base/deadline.ts'
import { noLog, reasonOf } from '../../base/log.ts'
import type { Config } from '../../config/config.ts'
import type { Device } from '../../device/device.ts'
import { consequenceOf, inWords } from '../../push/consequences.ts'
import { type Finding, ok } from './finding.ts'

/** Apple's page "Sending notification requests to APNs". */
const HOSTS = { production: 'api.push.apple.com', sandbox: 'api.sandbox.push.apple.com' } as const

/** How long one step of the way may take, in milliseconds. */
const STEP_MS = 3_000

/** Sends to a token that no phone has. Apple calls it bad, but only after it has accepted credentials and topic. */
export async function checkApple({ apns }: Config, credentials: Credentials): Promise<Finding> {
  const host = apns.host || `Apple's ${apns.environment} servers`
  const transport = new Transport(credentials, apns, noLog)
  try {
    const verdict = await transport.push(probe(credentials.topic))
    const level = consequenceOf(verdict).check
    if (level === 'ok') return ok(`${host}: credentials and topic accepted`)
    const isBroken = verdict.kind.startsWith('broken')
    const advice = isBroken
      ? await faultOnTheWay(apns, credentials)
      : adviceFor(verdict, credentials.auth.kind, certificateTopics(credentials))
    return { level, text: `${host}: ${inWords(verdict)}${advice ? `; ${advice}` : ''}` }
  } finally {
    await transport.close()
  }
}

function probe(topic: string): Device {
  const token = '0'.repeat(64)
  return { account: 'check', token, mailboxes: [], subtopic: '', topic, registeredAt: 0, lastSeen: 0 }
}

/** The first step of the way to Apple that fails, why, and what to do. */
async function faultOnTheWay(apns: Config['apns'], credentials: Credentials): Promise<string> {
  const { environment, port } = apns
  const host = apns.host || HOSTS[environment]
  try {
    await resolve(host)
    await connect(host, port)
    await negotiate(host, port, credentials)
    return `HTTP/2: ${host} takes the connection and answers no push: is it Apple, or a proxy in between? Otherwise try again later`
  } catch (error) {
    return reasonOf(error)
  }
}

async function resolve(host: string): Promise<void> {
  try {
    await within(lookup(host), STEP_MS, 'the resolver')
  } catch (error) {
    throw new Error(`DNS: ${host} has no address here (${codeOf(error)}): try \`getent hosts ${host}\``)
  }
}

async function connect(host: string, port: number): Promise<void> {
  const socket = net.connect({ host, port })
  try {
    await opened(socket, 'connect')
  } catch (error) {
    throw new Error(
      `TCP: no connection to ${host} port ${port} (${codeOf(error)}): does a firewall let it out? Try \`nc -vz ${host} ${port}\``,
    )
  }
}

/** A certificate of Apple's own, and HTTP/2. */
async function negotiate(host: string, port: number, { auth, ca }: Credentials): Promise<void> {
  const socket = tls.connect({
    host,
    port,
    ALPNProtocols: ['h2'],
    ...(net.isIP(host) ? {} : { servername: host }),
    ...(auth.kind === 'certificate' ? { cert: auth.cert, key: auth.key } : {}),
    ...(ca === undefined ? {} : { ca }),
  })
  try {
    await opened(socket, 'secureConnect')
  } catch (error) {
    const trust = ca === undefined ? 'set [apns] ca when that is intended' : 'is [apns] ca right?'
    throw new Error(
      `TLS: ${reasonOf(error)}: something between (a proxy, a firewall that opens TLS) may answer in Apple's place; ${trust}`,
    )
  }
  if (socket.alpnProtocol !== 'h2')
    throw new Error(`HTTP/2: what answers at ${host} port ${port} does not speak it, so it is not Apple`)
}

/** Resolves at `event`, and ends the connection in any case. */
async function opened(socket: net.Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  const done = new Promise<void>((resolve, reject) => {
    socket.once(event, () => resolve()).once('error', reject)
    socket.once('close', () => reject(new Error('it was closed at once')))
  })
  try {
    await within(done, STEP_MS, 'the peer')
  } finally {
    socket.on('error', () => undefined).destroy()
  }
}

function codeOf(error: unknown): string {
  // Several addresses that fail each have an error of their own.
  const [first = error] = error instanceof AggregateError ? error.errors : []
  return (first as NodeJS.ErrnoException).code ?? reasonOf(first)
}
