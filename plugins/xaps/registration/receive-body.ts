/** An HTTP request → its body. Knows nothing of what the body says. */

import type { IncomingMessage } from 'node:http'
import { MAX_REQUEST_BYTES } from '../base/limits.ts'
import { tooLarge } from './refusal.ts'
import { BadRequest } from './request.ts'
import type { Unfinished } from './unfinished.ts'

/**
 * Resolves with the whole body. Rejects with Refused (too large), BadRequest (the client went away) or Unavailable
 * (it gave way); what comes after that is not kept.
 */
export function receiveBody(request: IncomingMessage, unfinished: Unfinished): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const refuse = (error: Error) => {
      stop()
      reject(error)
    }
    const incoming = unfinished.begin(refuse)
    const stop = () => {
      request.off('data', incoming.add).off('end', onEnd).off('close', onClose)
      incoming.end()
    }
    const onEnd = () => {
      stop()
      resolve(incoming.bytes())
    }
    const onClose = () => refuse(new BadRequest('the body is not complete'))

    if (Number(request.headers['content-length'] ?? 0) > MAX_REQUEST_BYTES)
      return reject(tooLarge(MAX_REQUEST_BYTES))
    request.on('data', incoming.add).on('end', onEnd).on('close', onClose)
  })
}
