/** An HTTP request → its body. Knows nothing of what the body says. */

import type { IncomingMessage } from 'node:http'
import type { Budget } from './budget.ts'
import { busy, TooLarge } from './refusal.ts'
import { BadRequest, MAX_REQUEST_BYTES } from './request.ts'

/** What a chunk costs besides its bytes: somebody may send them one by one. */
const CHUNK_OVERHEAD = 256

/**
 * Resolves with the whole body. Rejects with TooLarge, BadRequest (the client went away) or Unavailable; what comes
 * after that is not kept.
 */
export function receiveBody(request: IncomingMessage, budget: Budget): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    let held = 0

    const stop = () => {
      budget.give(held)
      request.off('data', onData).off('end', onEnd).off('close', onClose)
    }
    const refuse = (error: Error) => {
      stop()
      reject(error)
    }
    const onData = (chunk: Buffer) => {
      size += chunk.length
      if (size > MAX_REQUEST_BYTES) return refuse(tooLarge())
      const cost = chunk.length + CHUNK_OVERHEAD
      if (!budget.take(cost)) return refuse(busy())
      held += cost
      chunks.push(chunk)
    }
    const onEnd = () => {
      stop()
      resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks))
    }
    const onClose = () => refuse(new BadRequest('the body is not complete'))

    if (Number(request.headers['content-length'] ?? 0) > MAX_REQUEST_BYTES) return reject(tooLarge())
    request.on('data', onData).on('end', onEnd).on('close', onClose)
  })
}

function tooLarge(): TooLarge {
  return new TooLarge(`longer than ${MAX_REQUEST_BYTES} bytes`)
}
