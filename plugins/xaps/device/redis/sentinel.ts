/**
 * Which server is the master, as the sentinels say it. node-redis has a client for Sentinel of its own, which is not used: it
 * writes failures to standard output, where commands write theirs, and calls wait in it until an outage is over.
 */

import { within } from '../../base/deadline.ts'
import { addressOf, type Server } from '../../base/store-uri.ts'
import { connectionReason, type Library, optionsFor, type RedisOptions } from './options.ts'

const ASK_MS = 1_000

/** What one sentinel says, by the names of SENTINEL MASTER's fields. */
type View = Readonly<Record<string, string>>

/**
 * All sentinels are asked at once, and the newest configuration counts: after an election the others follow only seconds
 * later. Rejects when none answers, none knows the master, or it is down.
 */
export async function masterOf(library: Library, options: RedisOptions): Promise<Server> {
  const { servers, master } = options.place
  const answers = await Promise.allSettled(servers.map(server => ask(library, options, server)))
  const views = answers.flatMap(answer => (answer.status === 'fulfilled' ? [answer.value] : []))
  const epoch = (view: View) => Number(view['config-epoch'] ?? 0)
  const [newest] = views.sort((one, other) => epoch(other) - epoch(one))
  if (!newest) throw answers.find(answer => answer.status === 'rejected')?.reason
  const { ip = '', port, flags = '' } = newest
  if (flags.includes('o_down')) throw new Error(`the sentinels say that master ${master} is down`)
  return { host: ip, port: Number(port) }
}

async function ask(library: Library, options: RedisOptions, server: Server): Promise<View> {
  const { sentinel, master } = options.place
  try {
    const client = library.createClient(optionsFor(server, options, sentinel))
    // Failures reject as well.
    client.on('error', () => undefined)
    try {
      const asked = client.connect().then(() => client.sendCommand(['SENTINEL', 'MASTER', master]))
      return viewOf((await within(asked, ASK_MS, 'it')) as unknown as readonly string[])
    } finally {
      if (client.isOpen) client.destroy()
    }
  } catch (error) {
    throw new Error(`the sentinel at ${addressOf(server)}: ${connectionReason(error, options)}`)
  }
}

/** `[name, value, name, value …]`. */
function viewOf(fields: readonly string[]): View {
  const pairs = fields.flatMap((name, index) => (index % 2 === 0 ? [[name, fields[index + 1] ?? '']] : []))
  return Object.fromEntries(pairs) as View
}
