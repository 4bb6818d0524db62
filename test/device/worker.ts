/**
 * A process of its own that works on a store, for the tests with several of them: started by fork with a Job as its
 * only argument. It reports with `ready`, then, told to `go`, with one message for each thing it has been promised.
 */

import { once } from 'node:events'
import { openStore } from '../../plugins/xaps/device/open.ts'
import { register } from '../../plugins/xaps/device/record.ts'
import { silentLog } from './fixtures.ts'

export interface Job {
  readonly uri: string
  readonly namespace: string
  /** `register`: devices of `user` called NAME-0, NAME-1 …; `claim`: the pushes push-0, push-1 …, each once. */
  readonly kind: 'register' | 'claim'
  readonly name: string
  readonly user: string
  readonly count: number
  /** How many are under way at once. */
  readonly concurrency: number
}

async function main(job: Job): Promise<void> {
  const store = await openStore({
    uri: job.uri,
    namespace: job.namespace,
    expireAfterMs: 86_400_000,
    harakaDir: '/nonexistent',
    log: silentLog,
  })

  async function registerOne(index: number): Promise<string> {
    const token = `${job.name}-${index}`
    const device = { account: 'A', token, mailboxes: ['INBOX'], subtopic: 's', topic: 't', at: Date.now() }
    await store.update(job.user, record => register(record, device, { maxDevices: 100_000 }))
    return token
  }

  async function claimOne(index: number): Promise<string | undefined> {
    const push = `push-${index}`
    const claim = await store.claim(push, { ageMs: 0, windowMs: 600_000 })
    return claim.kind === 'granted' ? push : undefined
  }

  const told = (message: string) => new Promise<unknown>(resolve => process.send?.(message, resolve))
  await told('ready')
  await once(process, 'message')
  const work = job.kind === 'register' ? registerOne : claimOne
  let next = 0
  const lane = async () => {
    while (next < job.count) {
      const done = await work(next++)
      if (done !== undefined) await told(done)
    }
  }
  // An update that rejects is not reported; the test misses it if it should be there.
  await Promise.allSettled(Array.from({ length: job.concurrency }, lane))
  await store.close()
  process.disconnect()
}

void main(JSON.parse(process.argv[2] ?? '') as Job)
