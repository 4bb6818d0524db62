/** Servers and directories, which end with the test that started them, or with a program's work. */

/** The time of a test, as its TestContext has it, or of anything else that ends. */
export interface Scope {
  /** Has `step` run at the end. */
  after(step: () => unknown): void
}

type Endable =
  | { readonly stop: () => unknown }
  | { readonly close: () => unknown }
  | { readonly remove: () => unknown }

/** Returns `thing`, and has it stopped, closed or removed when the test ends. */
export function owned<T extends Endable>(scope: Scope, thing: T): T {
  scope.after(() => {
    if ('stop' in thing) return thing.stop()
    return 'close' in thing ? thing.close() : thing.remove()
  })
  return thing
}

/** Runs `work` in a scope of its own, outside of tests. At the end, also by an error, the last step comes first. */
export async function scoped<T>(work: (scope: Scope) => Promise<T>): Promise<T> {
  const steps: (() => unknown)[] = []
  try {
    return await work({ after: step => void steps.unshift(step) })
  } finally {
    for (const step of steps) await step()
  }
}
