/**
 * Replication is asynchronous: a master that dies takes with it what it has acknowledged and not yet passed on. Where
 * another server would take its place, a change counts as made only when a replica has it.
 */

import type { RedisClientType } from '@keyv/redis'

/** A replica that answers does so in a millisecond; the connection carries nothing else meanwhile. */
const CONFIRM_MS = 500

/** One WAIT is under way per connection, and all that comes meanwhile shares the next: the time is spent once. */
const waits = new WeakMap<RedisClientType, { readonly now: Promise<void>; next?: Promise<void> }>()

/**
 * Resolves when a replica of `server` has all that was written over this connection, and at once where none is online:
 * whether the server may write then is its operator's decision (min-replicas-to-write). Rejects when none confirms it in
 * time.
 */
export async function untilReplicated(server: RedisClientType): Promise<void> {
  if (onlineReplicas(await server.info('replication')) === 0) return
  const under = waits.get(server)
  if (!under) return wait(server)
  // A failure of the one under way is that of its own callers.
  under.next ??= under.now.catch(() => undefined).then(() => wait(server))
  await under.next
}

function wait(server: RedisClientType): Promise<void> {
  const now = server.wait(1, CONFIRM_MS).then(confirmed => {
    if (confirmed < 1) throw new Error(`no replica has confirmed the change within ${CONFIRM_MS} ms`)
  })
  const entry: { readonly now: Promise<void>; next?: Promise<void> } = { now }
  waits.set(server, entry)
  const clear = () => {
    if (!entry.next) waits.delete(server)
  }
  now.then(clear, clear)
  return now
}

/** By INFO of a master: the replicas that take part in WAIT. */
export function onlineReplicas(info: string): number {
  return info.match(/^slave\d+:.*\bstate=online\b/gm)?.length ?? 0
}
