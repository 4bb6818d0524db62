/**
 * A Config that changes while it is in use. Each process has one of its own, whose sections stay the same objects: parts that
 * read a value when they need it have the new one from then on, and are told nothing. A key that needs a restart keeps its value.
 */

import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Log } from '../base/log.ts'
import { ALL, type Config, missingEventsListener, settingNotes, withoutSecret } from './config.ts'

type Key = (typeof ALL)[number]
type Sections = Record<string, Record<string, unknown>>

function settingOf(config: Config, { section, name }: Key): unknown {
  return (config as unknown as Sections)[section]?.[name]
}

/** What is different in another Config, a sentence's part for each key: `[push] window: 5 -> 60`. Has no secret in it. */
export interface Changes {
  readonly live: readonly string[]
  readonly afterRestart: readonly string[]
}

export function changesIn(config: Config, next: Config): Changes {
  const different = ALL.filter(key => !isDeepStrictEqual(settingOf(config, key), settingOf(next, key)))
  const told = (key: Key) =>
    `[${key.section}] ${key.inFile}: ${shown(key, settingOf(config, key))} -> ${shown(key, settingOf(next, key))}`
  return {
    live: different.filter(({ isLive }) => isLive).map(told),
    afterRestart: different.filter(({ isLive }) => !isLive).map(told),
  }
}

/** Gives `config` the values of `next`, of all keys that need no restart. */
export function takeUp(config: Config, next: Config): void {
  for (const key of ALL.filter(({ isLive }) => isLive))
    Object.assign((config as unknown as Sections)[key.section] ?? {}, { [key.name]: settingOf(next, key) })
}

const DAY_MS = 86_400_000

/** A value as the file has it. */
function shown({ name, inFile }: Key, value: unknown): string {
  if (name.endsWith('Ms')) return String(Number(value) / (inFile.endsWith('_days') ? DAY_MS : 1000))
  if (name.endsWith('Mode')) return `0${Number(value).toString(8)}`
  const text = Array.isArray(value) ? value.join(', ') : String(value)
  return text === '' ? 'empty' : withoutSecret(inFile, text)
}

/** A word that is another one for another Config. Secrets have no part in it. */
export function digestOf(config: Config): string {
  const all = ALL.map(key => `[${key.section}] ${key.inFile} = ${shown(key, settingOf(config, key))}`)
  return `v${createHash('sha256').update(all.join('\n')).digest('hex').slice(0, 8)}`
}

/** Says what is to be known of a configuration, each line when it begins to hold. */
export function notesTo(log: Log): (config: Config) => void {
  let said: readonly string[] = []
  return config => {
    const notes = settingNotes(config)
    const missing = missingEventsListener(config)
    for (const line of notes) if (!said.includes(line)) log.notice(line)
    if (missing !== undefined && !said.includes(missing)) log.error(missing)
    said = missing === undefined ? notes : [...notes, missing]
  }
}

/** One object with the keys of all `sections`, each with the value that it has when it is read. */
export function joined<A extends object, B extends object>(a: A, b: B): A & B {
  const properties = [a, b].flatMap(section =>
    Object.keys(section).map(name => [
      name,
      { enumerable: true, get: () => section[name as keyof typeof section] },
    ]),
  )
  return Object.defineProperties({}, Object.fromEntries(properties)) as A & B
}
