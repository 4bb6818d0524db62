/** A Buffer that counts how often its bytes are read: a measure of a parser's work that no clock blurs. */

/**
 * `bytes` behaves as `buffer` does. Each index read counts 1, each native method call the length of the part it
 * is given (or of the whole).
 */
export function counted(buffer: Buffer): { readonly bytes: Buffer; readonly work: () => number } {
  let work = 0
  const bytes = new Proxy(buffer, {
    get(target, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) work += 1
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        work += span(target, args)
        return value.apply(target, args)
      }
    },
  })
  return { bytes, work: () => work }
}

function span(target: Buffer, args: readonly unknown[]): number {
  const [start, end] = args.filter(arg => typeof arg === 'number')
  return (end ?? target.length) - (start ?? 0)
}
