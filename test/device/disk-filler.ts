/** A process that registers devices until the disk takes no more, and tells which operations still work then. */

import { writeSync } from 'node:fs'
import { reasonOf } from '../../plugins/xaps/base/log.ts'
import { openStore } from '../../plugins/xaps/device/open.ts'
import { registering, silentLog } from './fixtures.ts'

async function main(uri: string): Promise<void> {
  const store = await openStore({
    uri,
    namespace: 'xaps',
    expireAfterMs: 86_400_000,
    harakaDir: '/nonexistent',
    log: silentLog,
  })
  const register = (user: string) => store.update(user, registering('aa', Date.now(), ['x'.repeat(2_000)]))
  const reasons: string[] = []
  let saved = 0
  while (reasons.length < 20) {
    await register(`user${saved}`).then(
      () => saved++,
      error => reasons.push(reasonOf(error)),
    )
  }
  let readable = 0
  for await (const [, devices] of store.users()) readable += devices.length
  const claim = await store.claim('push', { ageMs: 0, windowMs: 5_000 })
  await store.close()
  writeSync(1, JSON.stringify({ saved, readable, reason: reasons[0], claim: claim.kind }))
}

void main(process.argv[2] ?? '')
