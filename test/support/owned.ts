/** Servers and directories of a test, which end with it. */

import type { TestContext } from 'node:test'

type Endable =
  | { readonly stop: () => unknown }
  | { readonly close: () => unknown }
  | { readonly remove: () => unknown }

/** Returns `thing`, and has it stopped, closed or removed when the test ends. */
export function owned<T extends Endable>(t: TestContext, thing: T): T {
  t.after(() => {
    if ('stop' in thing) return thing.stop()
    return 'close' in thing ? thing.close() : thing.remove()
  })
  return thing
}
