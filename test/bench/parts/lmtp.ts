/** The LMTP receiver as a process of its own. */

import { type LmtpReceiver, startLmtp } from '../../support/lmtp.ts'
import { servePart } from '../part.ts'

export interface LmtpApi {
  /** Returns the port. */
  start(nothing: null): Promise<number>
  /** How many mails it has taken so far. */
  taken(nothing: null): number
}

let receiver: LmtpReceiver | undefined

servePart<LmtpApi>({
  async start() {
    receiver = await startLmtp()
    return receiver.port
  },
  taken: () => receiver?.mails.length ?? 0,
})
