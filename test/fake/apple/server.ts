/**
 * Apple's push service, as far as a provider can see it: HTTP/2 over TLS on the loopback interface, as strict as
 * Apple, and with faults on demand. Puts the parts together; what is checked stands in rules.ts, connection.ts and
 * provider-token.ts, what can go wrong in faults.ts.
 */

import { once } from 'node:events'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { type Clock, systemClock } from '../../../plugins/xaps/base/clock.ts'
import { type Authority, authority, serverCertificate } from './certificates.ts'
import { Connections, type Environment, type Policy, presentsCertificate } from './connection.ts'
import { serve } from './exchange.ts'
import { Faults } from './faults.ts'
import { Gate } from './gate.ts'
import { type Counts, Journal, type PushRequest, type Wanted, waitIn } from './journal.ts'
import type { TrustedKey } from './provider-key.ts'
import { TokenVerifier } from './provider-token.ts'

const USUAL_STREAMS = 1000
const WAIT_MS = 15_000

export interface AppleOptions {
  /** Default: a free one. */
  readonly port?: number
  /** The address to listen on. Default: 127.0.0.1. */
  readonly host?: string
  /** Default: production. */
  readonly environment?: Environment
  /** The name that clients use, in the server's certificate beside 127.0.0.1 and ::1. Default: localhost. */
  readonly name?: string
  /** Issues the server's certificate and is the one trusted for push certificates. Default: this process's. */
  readonly authority?: Authority
  /** The .p8 keys that Apple knows. */
  readonly providerKeys?: readonly TrustedKey[]
  /**
   * Within what a provider token may be renewed only every 20 minutes: Apple documents the connection (default);
   * `key` is stricter: all connections that use the key.
   */
  readonly tokenUpdates?: 'connection' | 'key'
  /** Streams per connection. Default: 1000. */
  readonly maxConcurrentStreams?: number
  /** Keep requests; off: only count them. Default: true. */
  readonly record?: boolean
  /** Called with every request when it is answered or refused an answer. */
  readonly onRequest?: (request: PushRequest) => void
  /** Put a network that can be broken before the server. Off saves CPU in benchmarks. Default: true. */
  readonly gate?: boolean
  /** Judges the age of provider tokens. */
  readonly clock?: Clock
}

export interface Apple {
  /** A name that the server's certificate is for. */
  readonly host: string
  readonly port: number
  /** The certificate (PEM) that clients must trust. */
  readonly ca: string
  /** What was accepted, in the order of arrival. Empty when recording is off, as `requests`. */
  readonly pushes: readonly PushRequest[]
  /** Accepted or not. */
  readonly requests: readonly PushRequest[]
  readonly counts: Readonly<Counts>
  /** TCP connections accepted, TLS sessions since the start, TLS sessions open now. */
  readonly connections: { readonly attempts: number; readonly opened: number; readonly open: number }
  readonly faults: Faults
  /** Waits for so many accepted pushes, or for one that fits, and resolves with them. */
  waitFor(wanted: Wanted, timeoutMs?: number): Promise<PushRequest[]>
  /** The same among all requests. */
  waitForRequest(wanted: Wanted, timeoutMs?: number): Promise<PushRequest[]>
  /** Forgets requests and counts. */
  clear(): void
  /** Ends every fault. */
  heal(): Promise<void>
  close(): Promise<void>
}

/** Starts an Apple. Rejects when the port is taken. */
export async function startApple(options: AppleOptions = {}): Promise<Apple> {
  const { host = '127.0.0.1', port = 0, name = 'localhost', gate: gated = true } = options
  const issuer = options.authority ?? authority()
  const journal = new Journal(options.record ?? true, options.onRequest)
  const connections = new Connections(policyOf(options), options.maxConcurrentStreams ?? USUAL_STREAMS)
  const gate = gated ? new Gate(host, port) : undefined
  const faults = new Faults(connections, gate)
  const server = serverFor(issuer, name, connections)
  server.on('session', session => {
    const connection = connections.add(session)
    session.on('stream', (stream, headers) => serve(stream, headers, connection, { journal, faults }))
  })
  const inner = await listen(server, gate ? '127.0.0.1' : host, gate ? 0 : port)
  await gate?.open(inner)
  return {
    host: name,
    port: gate?.port ?? inner,
    ca: issuer.certificate,
    pushes: journal.pushes,
    requests: journal.requests,
    counts: journal.counts,
    get connections() {
      const { opened, open } = connections
      return { attempts: gate?.attempts ?? opened, opened, open: open.size }
    },
    faults,
    waitFor: (wanted, timeoutMs = WAIT_MS) => waitIn(journal.pushes, wanted, timeoutMs),
    waitForRequest: (wanted, timeoutMs = WAIT_MS) => waitIn(journal.requests, wanted, timeoutMs),
    clear: () => journal.clear(),
    heal: () => faults.heal(),
    async close() {
      await gate?.refuse()
      const closed = once(server, 'close')
      server.close()
      for (const { session } of connections.open) session.destroy()
      await closed
    },
  }
}

function policyOf(options: AppleOptions): Policy {
  return {
    environment: options.environment ?? 'production',
    verifier: new TokenVerifier(options.providerKeys ?? [], options.clock ?? systemClock),
    lastTokens: options.tokenUpdates === 'key' ? new Map() : undefined,
  }
}

function serverFor(issuer: Authority, name: string, connections: Connections): http2.Http2SecureServer {
  const { certificate: cert, key } = serverCertificate(issuer, name)
  // A bad certificate is answered with Apple's words instead of a TLS alert.
  const tls = { cert, key, ca: issuer.certificate, requestCert: true, rejectUnauthorized: false }
  const server = http2.createSecureServer(tls)
  // Before the session is made: its first SETTINGS frame must already carry the limit that is right for it.
  return server.prependListener('secureConnection', (socket: TLSSocket) => {
    server.updateSettings({ maxConcurrentStreams: presentsCertificate(socket) ? connections.limit : 1 })
  })
}

async function listen(server: http2.Http2SecureServer, host: string, port: number): Promise<number> {
  server.listen(port, host)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
