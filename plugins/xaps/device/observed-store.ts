/**
 * A device store whose operations are told of: which, how long it took, and why it failed if it did. One that has nothing of
 * use for one user has answered.
 */

import { reasonOf } from '../base/log.ts'
import { isOfOneUser } from './codec.ts'
import type { DeviceStore } from './store.ts'

/** The operations that a mail, a registration or a push waits for, by their names in metrics. */
const NAMES = { devices: 'lookup', update: 'change', claim: 'claim' } as const

export type StoreOperation = (typeof NAMES)[keyof typeof NAMES]

/** `ms`: milliseconds; `failure`: why it failed, in words. */
export type Heard = (operation: StoreOperation, ms: number, failure?: string) => void

/** `store` itself, with its own class and state, but for those three methods. */
export function observed<Store extends DeviceStore>(store: Store, heard: Heard): Store {
  for (const method of Object.keys(NAMES) as (keyof typeof NAMES)[]) {
    const operation = NAMES[method]
    const call = store[method].bind(store) as (...args: unknown[]) => Promise<unknown>
    const told = (...args: unknown[]) => {
      const from = performance.now()
      const result = call(...args)
      result.then(
        () => heard(operation, performance.now() - from),
        error => heard(operation, performance.now() - from, isOfOneUser(error) ? undefined : reasonOf(error)),
      )
      return result
    }
    Object.assign(store, { [method]: told })
  }
  return store
}
