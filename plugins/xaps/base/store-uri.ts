/** Where a device store is, as `[store] uri` says it: one grammar for all readers, and one way to show it. Opens nothing. */

export type StorePlace =
  | { readonly kind: 'lmdb'; readonly directory: string }
  | { readonly kind: 'redis'; readonly url: URL }

/** The grammar, for messages. */
export const STORE_URIS = 'lmdb:DIRECTORY, redis://HOST:PORT or rediss://HOST:PORT'

/** Undefined for text that is no such URI. */
export function parseStoreUri(uri: string): StorePlace | undefined {
  const [, directory] = /^lmdb:(.+)$/.exec(uri) ?? []
  if (directory !== undefined) return { kind: 'lmdb', directory }
  return /^rediss?:\/\/./.test(uri) && URL.canParse(uri) ? { kind: 'redis', url: new URL(uri) } : undefined
}

/** The URI as it may be shown: `***` for the password, also in text that is no URI because of what its password holds. */
export function withoutPassword(uri: string): string {
  return uri.replace(/(:\/\/[^:@/]*:).*@/s, '$1***@')
}
