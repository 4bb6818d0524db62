/** The Apple stand-in as a process of its own. */

import { MAIL_TOPIC } from '../../fake/apple/certificates.ts'
import { openDirectory } from '../../fake/apple/directory.ts'
import { type Apple, startApple } from '../../fake/apple/server.ts'
import { servePart } from '../part.ts'

/** When a push arrived, in milliseconds since the epoch with fractions. */
export type Stamp = readonly [token: string, epoch: number]

export interface AppleApi {
  /** Makes credentials below `dir` and listens; `stamps`: keeps when each push came. Returns the port. */
  start(options: { dir: string; stamps: boolean }): Promise<number>
  /** From now on every answer takes so many milliseconds. */
  latency(ms: number): void
  /** How many pushes have been accepted so far. */
  accepted(nothing: null): number
  /** The stamps kept since the last call. */
  takeStamps(nothing: null): Stamp[]
}

let apple: Apple | undefined
let stamps: Stamp[] = []

servePart<AppleApi>({
  async start({ dir, stamps: keep }) {
    const { authority } = openDirectory(dir, { topic: MAIL_TOPIC, passphrase: 'secret' })
    const onRequest = keep ? { onRequest: note } : {}
    apple = await startApple({ authority, gate: false, record: false, ...onRequest })
    return apple.port
  },
  latency: ms => apple?.faults.latency(ms),
  accepted: () => apple?.counts.accepted ?? 0,
  takeStamps() {
    const taken = stamps
    stamps = []
    return taken
  },
})

function note({ token, epoch }: { token: string; epoch: number }): void {
  stamps.push([token, epoch])
}
