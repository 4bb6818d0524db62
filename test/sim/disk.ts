/**
 * The disk of one simulated host: so much of node:fs as the plugin uses beside LMDB. A failure of power leaves of every file
 * what was synced; a full disk takes a part of a write, or nothing. Knows no process.
 */

import path from 'node:path'

const UID = 1_000

interface File {
  readonly ino: number
  bytes: Buffer
  size: number
  /** So many bytes outlive a failure of power. */
  synced: number
}

interface Descriptor {
  readonly file: File
  readonly path: string
  readonly appends: boolean
  offset: number
}

export const constants = {
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT: 64,
  O_EXCL: 128,
  O_TRUNC: 512,
  O_APPEND: 1024,
  O_DIRECTORY: 65_536,
  O_NOFOLLOW: 131_072,
  R_OK: 4,
  W_OK: 2,
}

const FLAGS: Readonly<Record<string, number>> = {
  r: 0,
  'r+': 2,
  w: 1 | 64 | 512,
  wx: 1 | 64 | 128 | 512,
  a: 1 | 64 | 1024,
  ax: 1 | 64 | 128 | 1024,
  'a+': 2 | 64 | 1024,
  'ax+': 2 | 64 | 128 | 1024,
  'w+': 2 | 64 | 512,
  'wx+': 2 | 64 | 128 | 512,
}

function fault(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code })
}

/** `before` is called before each operation and may throw: the process is dead. `after` comes when it has had its effect. */
export interface Watcher {
  before(operation: string): void
  after(operation: string): void
}

export class Disk {
  /** Set while nothing more can be written: how many bytes of a write still fit. */
  room: number | undefined
  readonly #files = new Map<string, File>()
  readonly #directories = new Set([
    '/',
    '/haraka',
    '/haraka/xaps',
    '/haraka/xaps-spool',
    '/haraka/xaps-pending',
  ])
  readonly #open = new Map<number, Descriptor>()
  #inode = 1
  #fd = 10

  /** The file is there. */
  touch(name: string): void {
    if (!this.#files.has(name)) this.#files.set(name, this.#empty())
  }

  #empty(): File {
    return { ino: this.#inode++, bytes: Buffer.alloc(256), size: 0, synced: 0 }
  }

  /** What was not synced is gone. */
  losePower(): void {
    for (const file of this.#files.values()) file.size = file.synced
    this.#open.clear()
  }

  /** The part of node:fs, for one process. */
  fs(watcher: Watcher): Record<string, unknown> {
    const functions: Record<string, unknown> = { constants }
    for (const [name, method] of Object.entries(this.#methods())) {
      functions[name] = (...args: unknown[]) => {
        watcher.before(name)
        const result = (method as (...args: unknown[]) => unknown)(...args)
        watcher.after(name)
        return result
      }
    }
    return functions
  }

  #methods() {
    return {
      existsSync: (name: string) => this.#files.has(name) || this.#directories.has(name),
      mkdirSync: (name: string, options?: { recursive?: boolean } | number) => this.#mkdir(name, options),
      readdirSync: (name: string) => this.#names(name),
      openSync: (name: string, flags: string | number = 'r') => this.#openFile(name, flags),
      closeSync: (fd: number) => void this.#open.delete(fd),
      writeSync: (fd: number, data: string | Buffer) => this.#write(this.#at(fd), Buffer.from(data)),
      readSync: (fd: number, into: Buffer, offset: number, length: number, position: number | null) =>
        this.#read(this.#at(fd), into, offset, length, position),
      fstatSync: (fd: number) => this.#stat(this.#at(fd).file),
      statSync: (name: string) => (this.#directories.has(name) ? this.#stat() : this.#stat(this.#file(name))),
      lstatSync: (name: string) => this.#stat(this.#file(name)),
      statfsSync: () => ({ bavail: 1e9, bsize: 4096, blocks: 2e9 }),
      accessSync: (name: string) => void this.#file(name),
      fsyncSync: (fd: number) => this.#sync(this.#at(fd).file),
      fdatasyncSync: (fd: number) => this.#sync(this.#at(fd).file),
      ftruncateSync: (fd: number, length = 0) => this.#truncate(this.#at(fd).file, length),
      fchmodSync: () => undefined,
      fchownSync: () => undefined,
      chmodSync: () => undefined,
      linkSync: (from: string, to: string) => this.#link(from, to),
      renameSync: (from: string, to: string) => this.#rename(from, to),
      rmSync: (name: string, options?: { force?: boolean }) => this.#remove(name, options?.force),
      unlinkSync: (name: string) => this.#remove(name),
      readFileSync: (name: string, encoding?: BufferEncoding | { encoding?: BufferEncoding }) =>
        this.#readFile(name, encoding),
      writeFileSync: (name: string, data: string | Buffer) => this.#writeFile(name, data, 'w'),
      appendFileSync: (name: string, data: string | Buffer) => this.#writeFile(name, data, 'a'),
    }
  }

  #file(name: string): File {
    const file = this.#files.get(name)
    if (!file) throw fault('ENOENT', `no such file or directory, '${name}'`)
    return file
  }

  #at(fd: number): Descriptor {
    const descriptor = this.#open.get(fd)
    if (!descriptor) throw fault('EBADF', 'bad file descriptor')
    return descriptor
  }

  #stat(file?: File) {
    const isFile = file !== undefined
    const kind = { isFile: () => isFile, isDirectory: () => !isFile, isSymbolicLink: () => false }
    const owner = { uid: UID, gid: UID, mode: isFile ? 0o100660 : 0o040770, dev: 1, mtimeMs: 0 }
    return { ...kind, ...owner, ino: file?.ino ?? 0, size: file?.size ?? 0 }
  }

  #mkdir(name: string, options?: { recursive?: boolean } | number): void {
    const isRecursive = typeof options === 'object' && options.recursive === true
    if (this.#directories.has(name) && !isRecursive) throw fault('EEXIST', `file already exists, '${name}'`)
    for (let each = name; each !== '/'; each = path.dirname(each)) this.#directories.add(each)
  }

  #names(directory: string): string[] {
    if (!this.#directories.has(directory)) throw fault('ENOENT', `no such directory, '${directory}'`)
    const all = [...this.#files.keys()].filter(name => path.dirname(name) === directory)
    return all.map(name => path.basename(name)).sort()
  }

  #openFile(name: string, flags: string | number): number {
    const bits = typeof flags === 'number' ? flags : (FLAGS[flags] ?? 0)
    const known = this.#files.get(name)
    if (known && bits & constants.O_EXCL) throw fault('EEXIST', `file already exists, '${name}'`)
    if (!known && !(bits & constants.O_CREAT) && !(bits & constants.O_DIRECTORY)) this.#file(name)
    if (!known && this.room !== undefined && bits & constants.O_CREAT)
      throw fault('ENOSPC', 'no space left on device')
    const file = known ?? this.#empty()
    if (!(bits & constants.O_DIRECTORY)) this.#files.set(name, file)
    if (bits & constants.O_TRUNC) this.#truncate(file, 0)
    const fd = this.#fd++
    this.#open.set(fd, { file, path: name, appends: (bits & constants.O_APPEND) !== 0, offset: 0 })
    return fd
  }

  #write(descriptor: Descriptor, data: Buffer): number {
    const { file, appends } = descriptor
    const length = Math.min(data.length, this.room ?? data.length)
    if (data.length > 0 && length === 0) throw fault('ENOSPC', 'no space left on device')
    const at = appends ? file.size : descriptor.offset
    const end = at + length
    if (end > file.bytes.length) file.bytes = Buffer.concat([file.bytes, Buffer.alloc(2 * end)])
    data.copy(file.bytes, at, 0, length)
    file.size = Math.max(file.size, end)
    descriptor.offset = end
    return length
  }

  #read(descriptor: Descriptor, into: Buffer, offset = 0, length = into.length, position?: number | null) {
    const { file } = descriptor
    const from = position ?? descriptor.offset
    const count = Math.max(0, Math.min(length, file.size - from))
    file.bytes.copy(into, offset, from, from + count)
    if (position === null || position === undefined) descriptor.offset = from + count
    return count
  }

  #sync(file: File): void {
    if (this.room !== undefined) throw fault('ENOSPC', 'no space left on device')
    file.synced = file.size
  }

  #truncate(file: File, length: number): void {
    file.size = length
    file.synced = Math.min(file.synced, length)
  }

  #link(from: string, to: string): void {
    if (this.#files.has(to)) throw fault('EEXIST', `file already exists, '${to}'`)
    this.#files.set(to, this.#file(from))
  }

  #rename(from: string, to: string): void {
    this.#files.set(to, this.#file(from))
    this.#files.delete(from)
  }

  #remove(name: string, force = false): void {
    if (!force) this.#file(name)
    this.#files.delete(name)
  }

  #readFile(name: string, encoding?: BufferEncoding | { encoding?: BufferEncoding }): string | Buffer {
    const { bytes, size } = this.#file(name)
    const content = Buffer.from(bytes.subarray(0, size))
    const form = typeof encoding === 'string' ? encoding : encoding?.encoding
    return form ? content.toString(form) : content
  }

  #writeFile(name: string, data: string | Buffer, flags: string): void {
    const fd = this.#openFile(name, flags)
    const bytes = Buffer.from(data)
    const written = this.#write(this.#at(fd), bytes)
    this.#open.delete(fd)
    if (written < bytes.length) throw fault('ENOSPC', 'no space left on device')
  }
}
