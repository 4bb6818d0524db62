/** The files and commands that docs/several-hosts.md prints, by host, changed for one machine. Starts nothing. */

import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const PAGE = readFileSync(path.join(__dirname, '../../../docs/several-hosts.md'), 'utf8')

/** A line `**HOST, HOST: NAME**`, and the block below it. NAME: the path of a file, or what the block is. */
const PRINTED = /^\*\*([\w., ]+): `?([^`*]+)`?\*\*\n\n```[\w.-]*\n(.*?)^```/gms

/** The last number of each host's address on the page. */
const NUMBERS = { mx1: 11, mx2: 12, imap1: 21, imap2: 22, redis1: 31, redis2: 32, admin: 1 } as const

export type Host = keyof typeof NUMBERS

/** In place of 24, which is root's. */
export const LMTP_PORT = 10_024

const CHANGED = /192\.0\.2\.|127\.0\.0\.1|(?<=\s)\/(?:etc|var\/lib|run)\/|(?<=port = )24$/gm

/** Six hosts below a directory, in a net of loopback addresses of their own. */
export class Hosts {
  readonly #root: string
  readonly #net = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.`

  constructor(root: string) {
    this.#root = root
  }

  address(host: Host): string {
    return `${this.#net}${NUMBERS[host]}`
  }

  /** The directory that stands for `where` on `host`; made where it is not there. */
  directory(host: Host, where: string): string {
    const directory = path.join(this.#root, host, where)
    mkdirSync(directory, { recursive: true })
    return directory
  }

  /**
   * The block `name` of `host`, with all the changes: addresses, the port of LMTP, directories. `label`: a second word
   * before the colon, where two blocks have the name.
   */
  text(host: Host, name: string, label: string = host): string {
    const blocks = [...PAGE.matchAll(PRINTED)].filter(([, labels = '', named]) => {
      const words = labels.split(', ')
      return named === name && words.includes(host) && words.includes(label)
    })
    assert.equal(blocks.length, 1, `blocks of ${label}: ${name}`)
    return this.#changed(host, blocks[0]?.[3] ?? '')
  }

  /**
   * The file `name` of redis1 as the page derives that of `host` from it: another address in the first two lines, and
   * directories of its own.
   */
  likeRedis1(host: Host, name: string): string {
    const lines = this.text('redis1', name).split('\n')
    const [one, own] = [this.address('redis1'), this.address(host)]
    const derived = lines.map((line, index) => (index < 2 ? line.replace(one, own) : line))
    return derived.join('\n').replaceAll(`${this.#root}/redis1/`, `${this.#root}/${host}/`)
  }

  /** Writes `text` to the file `name` of `host`, with the page's mode, and returns its path. */
  write(host: Host, name: string, text: string): string {
    const file = path.join(this.directory(host, path.dirname(name)), path.basename(name))
    writeFileSync(file, text, { mode: 0o640 })
    return file
  }

  #changed(host: Host, text: string): string {
    return text.replace(CHANGED, found => {
      if (found === '192.0.2.') return this.#net
      if (found === '127.0.0.1') return this.address(host)
      if (found === '24') return `${LMTP_PORT}`
      return path.join(this.#root, host, found)
    })
  }
}
