/**
 * The network before Apple: a TCP port that passes bytes to another one and can do what networks do: swallow, refuse,
 * reset, be slow. Knows nothing of TLS or HTTP.
 */

import { once } from 'node:events'
import net from 'node:net'

interface Passage {
  readonly client: net.Socket
  server?: net.Socket
  /** Where bytes in both directions stay. */
  swallowed: boolean
}

export class Gate {
  /** Connections that were accepted, swallowed ones included. */
  attempts = 0
  readonly #listener: net.Server
  readonly #passages = new Set<Passage>()
  #address: { host: string; port: number }
  #target = 0
  #swallowNew = false
  #delayMs = 0

  constructor(host: string, port: number) {
    this.#address = { host, port }
    this.#listener = net.createServer({ noDelay: true }, client => this.#accept(client))
  }

  get port(): number {
    return this.#address.port
  }

  /** Listens, and passes on to port `target`; its own stays the same from then on. Rejects when that is taken. */
  async open(target = this.#target): Promise<void> {
    this.#target = target
    if (this.#listener.listening) return
    this.#listener.listen(this.#address)
    await once(this.#listener, 'listening')
    this.#address = { ...this.#address, port: (this.#listener.address() as net.AddressInfo).port }
  }

  /** Ends all connections with a TCP reset. */
  reset(): void {
    for (const { client } of this.#passages) {
      // libuv cannot reset a socket that is shutting down, and Node then never closes its handle.
      if (client.writableEnded) client.destroy()
      else client.resetAndDestroy()
    }
  }

  /** Resets all connections and frees the port: the next connection is refused. */
  async refuse(): Promise<void> {
    if (!this.#listener.listening) return
    const closed = once(this.#listener, 'close')
    this.#listener.close()
    this.reset()
    await closed
  }

  /**
   * From now on the open connections get no byte through, in either direction, without being closed; with `all`
   * those that are opened later neither.
   */
  swallow(which: 'all' | 'open'): void {
    this.#swallowNew = which === 'all'
    for (const passage of this.#passages) {
      passage.swallowed = true
      passage.client.unpipe()
      passage.server?.unpipe()
    }
  }

  /** New connections reach Apple only after `ms` milliseconds. */
  delay(ms: number): void {
    this.#delayMs = ms
  }

  /** The network works again: what was swallowed goes on where it stopped, as after an outage. */
  async heal(): Promise<void> {
    this.#swallowNew = false
    this.#delayMs = 0
    for (const passage of this.#passages) if (passage.swallowed) this.#release(passage)
    await this.open()
  }

  #accept(client: net.Socket): void {
    this.attempts++
    const passage: Passage = { client, swallowed: this.#swallowNew }
    this.#passages.add(passage)
    client.on('error', closeFollows)
    client.on('close', () => {
      this.#passages.delete(passage)
      passage.server?.destroy()
    })
    if (this.#delayMs > 0) setTimeout(() => this.#connect(passage), this.#delayMs).unref()
    else this.#connect(passage)
  }

  #connect(passage: Passage): void {
    if (passage.swallowed || passage.client.destroyed || passage.server) return
    const server = net.connect({ port: this.#target, host: '127.0.0.1', noDelay: true })
    passage.server = server
    server.on('error', closeFollows)
    server.on('close', () => passage.client.destroySoon())
    join(passage)
  }

  #release(passage: Passage): void {
    passage.swallowed = false
    if (passage.server) join(passage)
    else this.#connect(passage)
  }
}

function join({ client, server }: Passage): void {
  if (!server) return
  client.pipe(server)
  server.pipe(client)
}

/** A reset by either side is what this is for; the 'close' event that follows does the work. */
const closeFollows = (): void => undefined
