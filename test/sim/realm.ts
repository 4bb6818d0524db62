/**
 * The production code in surroundings of our own: the compiled files as they ship, each given other globals (timers, Date,
 * Math, process) and other modules (the file system, those that open sockets) than Node's. So none of it can look at a real
 * clock, and no file of it needs a seam for the simulation. A mutant is a line of the text that is changed on the way.
 */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { compileFunction } from 'node:vm'

const ROOT = path.join(__dirname, '..', '..', 'plugins', 'xaps')

/** One change of the compiled text. */
export interface Mutation {
  /** Below plugins/xaps, without an ending. */
  readonly file: string
  readonly text: string
  readonly replacement: string
}

export interface Surroundings {
  /** By name; those that are not named are the real ones. */
  readonly globals: Readonly<Record<string, unknown>>
  /** By name (`node:fs`) or by path below plugins/xaps (`apns/client`); a function gets the real one's exports to add to. */
  readonly modules: Readonly<Record<string, unknown>>
}

type Body = (...values: unknown[]) => void

/** Bodies of modules by their path and the names of their parameters: compiled once, run once per realm. */
const compiled = new Map<string, Body>()

export class Realm {
  readonly #surroundings: Surroundings
  readonly #mutation: Mutation | undefined
  readonly #loaded = new Map<string, { exports: unknown }>()

  constructor(surroundings: Surroundings, mutation?: Mutation) {
    this.#surroundings = surroundings
    this.#mutation = mutation
  }

  /** The exports of a file below plugins/xaps, named without its ending. */
  load<Exports>(name: string): Exports {
    const known = this.#loaded.get(name)
    if (known) return known.exports as Exports
    const replacement = this.#surroundings.modules[name]
    const module = {
      exports: (replacement && typeof replacement !== 'function' ? replacement : {}) as unknown,
    }
    this.#loaded.set(name, module)
    if (!replacement || typeof replacement === 'function') this.#run(name, module)
    if (typeof replacement === 'function') module.exports = replacement(module.exports)
    return module.exports as Exports
  }

  #run(name: string, module: { exports: unknown }): void {
    const file = path.join(ROOT, `${name}.js`)
    const { globals } = this.#surroundings
    const names = Object.keys(globals)
    const isMutant = this.#mutation?.file === name
    const key = isMutant ? JSON.stringify(this.#mutation) : name
    const body = compiled.get(key) ?? compile(file, names, isMutant ? this.#mutation : undefined)
    compiled.set(key, body)
    body(module, module.exports, this.#requireFrom(file), path.dirname(file), ...Object.values(globals))
  }

  #requireFrom(file: string): (name: string) => unknown {
    const real = createRequire(file)
    return name => {
      if (name.startsWith('.')) {
        const inside = path.relative(ROOT, path.resolve(path.dirname(file), name))
        return this.load(inside.replace(/\.js$/, ''))
      }
      return this.#surroundings.modules[name] ?? real(name)
    }
  }
}

function compile(file: string, globals: readonly string[], mutation?: Mutation): Body {
  const text = readFileSync(file, 'utf8')
  const changed = mutation ? mutate(text, mutation) : text
  return compileFunction(changed, ['module', 'exports', 'require', '__dirname', ...globals], {
    filename: file,
  }) as Body
}

function mutate(text: string, { file, text: before, replacement }: Mutation): string {
  const [first, rest, ...more] = text.split(before)
  if (rest === undefined || more.length > 0)
    throw new Error(`${file}: ${before} is expected once, and is there ${more.length + 1} times`)
  return `${first}${replacement}${rest}`
}
