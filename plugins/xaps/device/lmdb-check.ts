/**
 * Tells whether an LMDB data file is sound enough to be opened. LMDB maps the file into memory and believes what it
 * finds there: a truncated or overwritten file does not make it fail, it kills the process (SIGSEGV, SIGBUS and SIGABRT
 * were all seen). So the pages that LMDB would follow are looked at first: one read per page, some 60 ms for
 * 100,000 devices. Knows the format of the LMDB 1.0 that the package `lmdb` 3 contains, on the usual 64-bit
 * machines, and judges nothing elsewhere. Keys and values are not judged here.
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { reasonOf } from '../log.ts'

const KNOWN_MACHINES: readonly string[] = ['x64', 'arm64']
const MAGIC = 0xbeefc0de
const FORMAT = 2
const HEADER_BYTES = 24
const META_BYTES = 176
const NODE_HEADER_BYTES = 8
/** The root of an empty tree: 64 ones. */
const NO_PAGE = 2 ** 64

/** LMDB's own limit. */
const MAX_DEPTH = 32

/** Page flags, and the flag of a node whose value has pages of its own. */
const BRANCH = 1
const LEAF = 2
const OVERFLOW = 4
const META = 8
const BIG_VALUE = 1

/** How often a finding is doubted when somebody has written meanwhile: pages of old snapshots are used again. */
const ATTEMPTS = 5

interface File {
  readonly fd: number
  readonly size: number
  readonly pageSize: number
  /** Room for one page per level of the tree, used again and again. */
  readonly levels: DataView[]
}

interface Snapshot {
  readonly txn: number
  /** The trees of free pages and of the data. */
  readonly trees: ReadonlyArray<{ readonly root: number; readonly depth: number }>
}

class Damage extends Error {}

/**
 * What is wrong with the data file at `path`, in a few words, or undefined when nothing is. An empty file is sound.
 * Safe while other processes write. Throws when the file cannot be read.
 */
export function damageOf(path: string): string | undefined {
  if (!KNOWN_MACHINES.includes(process.arch)) return undefined
  const fd = openSync(path, 'r')
  try {
    let damage: string | undefined
    let seen: number | undefined
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const finding = inspect(fd)
      if (finding.damage === undefined) return undefined
      damage = finding.damage
      if (attempt > 0 && finding.txn === seen) return damage
      seen = finding.txn
    }
    // Others have been writing all the while, so the file works for them.
    return undefined
  } finally {
    closeSync(fd)
  }
}

function inspect(fd: number): { readonly txn?: number; readonly damage?: string } {
  const { size } = fstatSync(fd)
  if (size === 0) return {}
  let snapshot: Snapshot | undefined
  try {
    const file = { fd, size, pageSize: pageSizeOf(read(fd, 0, bytes(META_BYTES))), levels: [] }
    snapshot = newestSnapshot(file)
    let pages = 0
    const count = () => {
      if (++pages > size / file.pageSize) throw new Damage('its pages go round in circles')
    }
    for (const { root, depth } of snapshot.trees) if (root !== NO_PAGE) checkPage(file, root, depth, count)
    return {}
  } catch (error) {
    if (!(error instanceof Damage)) throw error
    return { damage: reasonOf(error), ...(snapshot && { txn: snapshot.txn }) }
  }
}

function bytes(length: number): DataView {
  return new DataView(new ArrayBuffer(length))
}

function read(fd: number, position: number, into: DataView): DataView {
  if (readSync(fd, into, 0, into.byteLength, position) !== into.byteLength)
    throw new Damage('it ends too early')
  return into
}

/** A 64-bit number; beyond 2^53 it is not exact, and no page or transaction number of a sound file. */
function uint64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32
}

function pageSizeOf(meta: DataView): number {
  checkMeta(meta)
  const pageSize = meta.getUint32(48, true)
  const isPowerOfTwo = (pageSize & (pageSize - 1)) === 0
  if (!isPowerOfTwo || pageSize < 512 || pageSize > 65536) throw new Damage('its page size is impossible')
  return pageSize
}

function checkMeta(meta: DataView): void {
  const isMeta = (meta.getUint16(18, true) & META) !== 0
  if (!isMeta || meta.getUint32(24, true) !== MAGIC) throw new Damage('it is no LMDB file')
  if ((meta.getUint32(28, true) & 0xffff) !== FORMAT) throw new Damage('it is of another LMDB version')
}

/** The first two pages describe the last two transactions, in turn. */
function newestSnapshot({ fd, pageSize }: File): Snapshot {
  const [first, second] = [0, pageSize].map(position => {
    const meta = read(fd, position, bytes(META_BYTES))
    checkMeta(meta)
    return meta
  }) as [DataView, DataView]
  const newest = uint64(first, 152) >= uint64(second, 152) ? first : second
  const tree = (at: number) => ({ root: uint64(newest, at + 40), depth: newest.getUint16(at + 6, true) })
  const trees = [tree(48), tree(96)]
  if (trees.some(({ depth }) => depth > MAX_DEPTH)) throw new Damage('its tree is impossibly deep')
  return { txn: uint64(newest, 152), trees }
}

/** Checks the page and all below it; `depth` is 1 for a leaf. */
function checkPage(file: File, number: number, depth: number, count: () => void): void {
  count()
  file.levels[depth] ??= bytes(file.pageSize)
  const page = pageAt(file, number, file.levels[depth], depth > 1 ? BRANCH : LEAF)
  const lower = page.getUint16(20, true)
  const upper = page.getUint16(22, true)
  const room = file.pageSize - HEADER_BYTES
  if (lower === 0 || lower % 2 !== 0 || lower > upper || upper > room) throw damagedPage(number)
  for (let pointer = 0; pointer < lower; pointer += 2) {
    const offset = page.getUint16(HEADER_BYTES + pointer, true)
    if (offset < upper || offset + NODE_HEADER_BYTES > room) throw damagedPage(number)
    const node = HEADER_BYTES + offset
    if (depth > 1) checkPage(file, childOf(page, node), depth - 1, count)
    else checkValue(file, number, page, node)
  }
}

function childOf(page: DataView, node: number): number {
  return page.getUint32(node, true) + page.getUint16(node + 4, true) * 2 ** 32
}

function checkValue(file: File, number: number, page: DataView, node: number): void {
  const size = page.getUint32(node, true)
  const isBig = (page.getUint16(node + 4, true) & BIG_VALUE) !== 0
  const data = node + NODE_HEADER_BYTES + page.getUint16(node + 6, true)
  if (data + (isBig ? 24 : size) > file.pageSize) throw damagedPage(number)
  if (!isBig) return
  const first = uint64(page, data)
  const pages = pageAt(file, first, bytes(HEADER_BYTES), OVERFLOW).getUint32(20, true)
  const end = (first + pages) * file.pageSize
  if (pages !== Math.ceil((HEADER_BYTES + size) / file.pageSize) || end > file.size) throw damagedPage(first)
}

/** The start of a page, which must say that it is that page and of that kind. */
function pageAt(file: File, number: number, into: DataView, kind: number): DataView {
  if (number * file.pageSize > file.size) throw damagedPage(number)
  const page = read(file.fd, number * file.pageSize, into)
  const flags = page.getUint16(18, true) & (BRANCH | LEAF | OVERFLOW | META)
  if (uint64(page, 0) !== number || flags !== kind) throw damagedPage(number)
  return page
}

function damagedPage(number: number): Damage {
  return new Damage(`page ${number} is not what it should be`)
}
