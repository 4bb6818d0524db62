/** The same pushes without any of our code: by `apn` as its README shows it, or by node:http2 alone. */

import { readFileSync } from 'node:fs'
import http2 from 'node:http2'
import path from 'node:path'
import apn from 'apn'
import { servePart } from '../part.ts'
import { ownCpu } from '../process-use.ts'
import { deviceOf } from '../site.ts'
import { inParallel, pace } from '../work.ts'
import type { Stamp } from './outside.ts'

export type Client = 'ours' | 'apn' | 'http2'

/** Rejects when Apple refuses. */
type SendOne = (index: number) => Promise<void>

let sendOne: SendOne = () => Promise.reject(new Error('not open'))

const api = servePart({
  /** Gets ready to push to Apple on `port`; credentials lie in the site's directory. */
  async open({ dir, port, client }: { dir: string; port: number; client: Client }) {
    const read = (name: string) => readFileSync(path.join(dir, 'apple', name), 'utf8')
    const tls = { cert: read('certificate.pem'), key: read('key.pem'), ca: read('ca.pem') }
    sendOne = client === 'apn' ? byApn(tls, port) : byHttp2(tls, port)
  },
  /** Pushes to the devices from number `from` on, so many at a time. */
  async send({ from, count, inFlight }: { from: number; count: number; inFlight: number }) {
    const cpu = ownCpu()
    const ms = await inParallel(count, inFlight, index => sendOne(from + index))
    return { ms, cpuUs: ownCpu() - cpu }
  },
  /** Pushes `perSecond` times a second, whatever is in flight. Resolves with the time just before each push. */
  async sendPaced({ from, count, perSecond }: { from: number; count: number; perSecond: number }) {
    const stamps: Stamp[] = []
    const sending: Promise<void>[] = []
    await pace(count, perSecond, index => {
      stamps.push([deviceOf(from + index).token, performance.timeOrigin + performance.now()])
      sending.push(sendOne(from + index))
    })
    await Promise.all(sending)
    return stamps
  },
})

export type BarePush = typeof api

/** What our push side is asked, too. */
export type PushApi = Pick<BarePush, 'open' | 'send'>

interface Tls {
  readonly cert: string
  readonly key: string
  readonly ca: string
}

function byApn({ cert, key, ca }: Tls, port: number): SendOne {
  const provider = new apn.Provider({ cert, key, ca: [ca], production: true, port })
  // Any other name than Apple's makes `apn` ask the sandbox.
  const { client } = provider as unknown as { client: { config: { address: string } } }
  client.config.address = '127.0.0.1'
  return async index => {
    const { account, token, topic } = deviceOf(index)
    const note = new apn.Notification()
    note.topic = topic
    note.pushType = 'background'
    note.priority = 5
    note.expiry = Math.floor(Date.now() / 1000) + 86_400
    note.rawPayload = { aps: { 'account-id': account } }
    const { failed } = await provider.send(note, token)
    if (failed.length > 0) throw new Error(JSON.stringify(failed[0]))
  }
}

function byHttp2(tls: Tls, port: number): SendOne {
  const session = http2.connect(`https://127.0.0.1:${port}`, tls)
  return index => {
    const { account, token, topic } = deviceOf(index)
    const stream = session.request({
      ':method': 'POST',
      ':path': `/3/device/${token}`,
      'apns-topic': topic,
      'apns-push-type': 'background',
      'apns-priority': '5',
      'apns-expiration': Math.floor(Date.now() / 1000) + 86_400,
      'content-type': 'application/json',
    })
    stream.end(JSON.stringify({ aps: { 'account-id': account } }))
    return new Promise((resolve, reject) => {
      let status: number | undefined
      stream.on('response', headers => {
        status = headers[':status']
      })
      stream.on('end', () => (status === 200 ? resolve() : reject(new Error(`status ${status}`))))
      stream.on('error', reject)
      stream.resume()
    })
  }
}
