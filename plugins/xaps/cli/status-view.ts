/** An Overview for a terminal: the health first, then a row for each process, then what has been counted. Asks nothing. */

import { DECISIONS, REGISTRATIONS } from '../observe/decisions.ts'
import type { Health, Overview, ProcessState } from '../observe/overview.ts'
import { count } from './check/finding.ts'
import { print } from './context.ts'
import { writeLines } from './output.ts'
import { printParagraph, terminalWidth } from './paragraph.ts'
import { bold, dim, fail, ok, type Text, warn } from './style.ts'
import { type Column, tableLines } from './table.ts'
import { ago, days, iso, span } from './times.ts'

/** Columns of the names before what follows the table. */
const NAME_WIDTH = 15

/** To standard output. */
export async function printStatus(overview: Overview, socket: string): Promise<void> {
  printHealth(overview)
  print()
  await writeLines(process.stdout, tableLines(process.stdout, terminalWidth(), COLUMNS, rowsOf(overview)))
  for (const failure of failuresOf(overview)) printNamed('Last error', failure)
  print()
  print(dim('Since each process started:'))
  for (const [name, text] of countersOf(overview)) printNamed(name, text)
  print()
  for (const [name, text] of stateOf(overview)) printNamed(name, text)
  const { version, configuration } = overview
  printNamed('Version', `${version}, configuration ${configuration}`)
  printNamed('Socket', socket)
}

/** A line with a name. */
export function printNamed(name: string, text: Text): void {
  printParagraph([bold(name), ' '.repeat(NAME_WIDTH - name.length)], text)
}

const STYLES = { works: ok, impaired: warn, down: fail } as const satisfies Record<Health['state'], unknown>

function printHealth({ at, health: { state, sentence, since, remedy } }: Overview): void {
  printParagraph([], STYLES[state](sentence))
  if (since !== undefined) print(`since ${iso(since)}, for ${span(at - since)}`)
  if (remedy) printParagraph([dim('what to do: ')], remedy)
}

/** In the order of the table; by rank what a narrow terminal shows. */
const COLUMNS: readonly Column[] = [
  { title: 'PROCESS', least: 10, rank: 0 },
  { title: 'PID', least: 7, rank: 7 },
  { title: 'UP', least: 6, rank: 5 },
  { title: 'PENDING', least: 7, rank: 3 },
  { title: 'APPLE', least: 12, rank: 1 },
  { title: 'STORE', least: 9, rank: 2 },
  { title: 'ACCEPTED', least: 11, rank: 4 },
  { title: 'LAST ERROR', least: 10, rank: 6 },
]

async function* rowsOf({ processes, at }: Overview): AsyncGenerator<Text[]> {
  // A column without any text is not shown.
  const noError = processes.some(({ apple }) => apple.failedAt !== undefined) ? 'none' : ''
  for (const state of processes) yield rowOf(state, at, noError)
}

function rowOf(
  { process, pid, startedAt, pending, apple, store }: ProcessState,
  now: number,
  noError: string,
): Text[] {
  const { acceptedAt, failedAt } = apple
  return [
    process,
    String(pid),
    span(now - startedAt),
    String(pending),
    appleWord(apple),
    storeWord(store),
    acceptedAt === undefined ? 'never' : `${span(now - acceptedAt)} ago`,
    failedAt === undefined ? noError : `${span(now - failedAt)} ago`,
  ]
}

/** The last failure of each kind in full, but for what the health sentence says already. */
function failuresOf({ processes, health: { sentence } }: Overview): Iterable<string> {
  const found = processes.flatMap(({ apple, store }) => [
    ...(apple.failure === undefined ? [] : [`Apple: ${apple.failure}`]),
    ...(store.up === false ? [`store: ${store.failure}`] : []),
  ])
  return new Set(found.filter(text => !sentence.includes(text.slice(text.indexOf(' ') + 1))))
}

const TROUBLES: Readonly<Record<string, Text>> = {
  connection: fail('away'),
  busy: warn('asks to wait'),
  setup: fail('refuses us'),
}

function appleWord({ trouble, acceptedAt }: ProcessState['apple']): Text {
  if (trouble !== undefined) return TROUBLES[trouble] ?? trouble
  return acceptedAt === undefined ? 'unused' : 'accepts'
}

function storeWord({ up }: ProcessState['store']): Text {
  if (up === undefined) return 'unused'
  return up ? 'answers' : fail('no answer')
}

type Named = readonly (readonly [name: string, text: Text])[]

/** Since the processes' start. The names are those of log, metrics and docs. */
function countersOf({ sums: { counters } }: Overview): Named {
  const counted = (name: string, order: readonly string[]) => {
    const row = counters[name] ?? {}
    const rank = (label: string) => (order.includes(label) ? order.indexOf(label) : order.length)
    const found = Object.keys(row)
      .filter(label => row[label])
      .sort((a, b) => rank(a) - rank(b))
    return found.map(label => `${label} ${number(row[label] ?? 0)}`).join(', ') || 'none yet'
  }
  return [
    ['Pushes', counted('xaps_pushes_total', ['sent'])],
    ['Mails', counted('xaps_decisions_total', Object.keys(DECISIONS))],
    ['Registrations', counted('xaps_registrations_total', Object.keys(REGISTRATIONS))],
  ]
}

function stateOf({ at, processes, devices, spooled }: Overview): Named {
  const ends = processes.flatMap(({ apple }) => apple.certificateEnds ?? [])
  const certificate = ends.length === 0 ? 'none: a provider token has no end' : days(Math.min(...ends), at)
  return [
    ...(devices ? devicesIn(devices, at) : ([['Devices', 'not counted yet']] as const)),
    ['Certificate', certificate],
    ['Spool', spooled === 0 ? 'empty' : warn(`${count(spooled, 'registration')} for the device store`)],
  ]
}

function devicesIn(counts: NonNullable<Overview['devices']>, at: number): Named {
  const { users, devices, countedAt, lastSeen, otherTopic } = counts
  const { day, twoDays, week, longer } = lastSeen
  const seen = `seen within a day ${number(day)}, two days ${number(twoDays)}, a week ${number(week)}, longer ago ${number(longer)}`
  const other = `${number(otherTopic)} on another topic, not pushed until they register again (\`xaps check\`)`
  return [
    ['Devices', `${number(devices)} of ${number(users)} users, counted ${ago(countedAt, at)}`],
    ['', seen],
    ...(otherTopic > 0 ? ([['', warn(other)]] as const) : []),
  ]
}

const number = (value: number) => value.toLocaleString('en')
