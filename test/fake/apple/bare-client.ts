/** A provider on bare node:http2, which sends whatever a test wants, right or wrong. */

import { once } from 'node:events'
import http2 from 'node:http2'
import type { TestContext } from 'node:test'
import { owned } from '../../support/owned.ts'
import { MAIL_TOPIC, type Pair } from './certificates.ts'
import { type Apple, type AppleOptions, startApple } from './server.ts'

export const TOKEN = 'a1'.repeat(32)
export const PAYLOAD = JSON.stringify({ aps: { 'account-id': '5fa3fd4a-1b92-4a0e-a0a5-6ec76ff5b1ae' } })

/** What a client must know of an Apple. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  readonly ca: string
}

export interface Answer {
  readonly status: number
  /** The fields of the body, empty for 200. */
  readonly body: Readonly<Record<string, unknown>>
  readonly headers: http2.IncomingHttpHeaders
}

/** What differs from a right push: headers (undefined leaves one out), token, body. */
export interface Changes {
  readonly token?: string
  readonly body?: string
  readonly headers?: Readonly<Record<string, string | undefined>>
}

/** Opens a session, with a client certificate when one is given. Resolves when Apple's settings have arrived. */
export async function connect(apple: Endpoint, pair?: Pair): Promise<http2.ClientHttp2Session> {
  const session = open(apple, pair)
  await once(session, 'remoteSettings')
  return session
}

/** The same without waiting. Errors of the session are left to its 'close' event and to the requests. */
export function open(apple: Endpoint, pair?: Pair): http2.ClientHttp2Session {
  const credentials = pair && { cert: pair.certificate, key: pair.key }
  const session = http2.connect(`https://${apple.host}:${apple.port}`, { ca: apple.ca, ...credentials })
  session.on('error', () => session.destroy())
  return session
}

export interface Connected {
  readonly apple: Apple
  readonly session: http2.ClientHttp2Session
  another(): Promise<http2.ClientHttp2Session>
}

/** An Apple and a session with it, with a client certificate when one is given. All end with the test. */
export async function connected(t: TestContext, pair?: Pair, options?: AppleOptions): Promise<Connected> {
  const apple = owned(t, await startApple(options))
  const another = async () => {
    const session = await connect(apple, pair)
    t.after(() => session.destroy())
    return session
  }
  return { apple, session: await another(), another }
}

/** The status of a push, and Apple's reason where it is refused. */
export async function verdictOn(session: http2.ClientHttp2Session, changes?: Changes): Promise<unknown[]> {
  const { status, body } = await push(session, changes)
  return [status, ...Object.values(body)]
}

/** Sends one push. Rejects when the stream ends without an answer. */
export function push(session: http2.ClientHttp2Session, changes: Changes = {}): Promise<Answer> {
  const headers = {
    ':method': 'POST',
    ':path': `/3/device/${changes.token ?? TOKEN}`,
    'apns-topic': MAIL_TOPIC,
    'apns-push-type': 'background',
    ...changes.headers,
  }
  const present = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined))
  const stream = session.request(present)
  stream.end(changes.body ?? PAYLOAD)
  return answerOf(stream)
}

function answerOf(stream: http2.ClientHttp2Stream): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let headers: http2.IncomingHttpHeaders | undefined
    let text = ''
    stream.setEncoding('utf8')
    stream.on('response', received => {
      headers = received
    })
    stream.on('data', (chunk: string) => {
      text += chunk
    })
    stream.on('error', reject)
    stream.on('close', () => {
      if (!headers) return reject(new Error(`stream closed with code ${stream.rstCode}, not answered`))
      resolve({ status: Number(headers[':status']), body: text ? JSON.parse(text) : {}, headers })
    })
  })
}
