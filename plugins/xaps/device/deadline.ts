/** A promise that is waited for only so long. The work itself goes on; its late result is dropped. */

export class DeadlineExceeded extends Error {
  override name = 'DeadlineExceeded'
}

/** Settles as `work` does, or rejects with DeadlineExceeded after `ms` milliseconds. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeadlineExceeded(`no answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
