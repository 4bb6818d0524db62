/** The file to import, or standard input. */

import { fstatSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

export interface Input {
  readonly chunks: AsyncIterable<Buffer>
  /** In bytes; undefined for a pipe. */
  readonly size: number | undefined
}

/** `name` is a path, or `-` for standard input. Rejects when it cannot be read. */
export async function openInput(name: string): Promise<Input> {
  if (name === '-') return { chunks: process.stdin, size: sizeOf(fstatSync(process.stdin.fd)) }
  const file = await open(name)
  return { chunks: file.createReadStream(), size: await sizeOfFile(file) }
}

async function sizeOfFile(file: FileHandle): Promise<number | undefined> {
  return sizeOf(await file.stat())
}

function sizeOf(stats: { isFile(): boolean; size: number }): number | undefined {
  return stats.isFile() ? stats.size : undefined
}

/** Tells `onBytes` of each chunk's size as it passes. */
export async function* counted(
  chunks: AsyncIterable<Buffer>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    onBytes(chunk.length)
    yield chunk
  }
}
