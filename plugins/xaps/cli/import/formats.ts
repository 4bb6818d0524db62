/** The files that can be imported: how each is known, and where its devices stand. Checks no value. */

/** A device as it stands in a file: nothing is checked yet, not even that a text is a text. */
export interface Entry {
  readonly user?: unknown
  readonly account?: unknown
  readonly token?: unknown
  /** null and undefined mean none. */
  readonly mailboxes?: unknown
  /** Only our own export has these. */
  readonly subtopic?: unknown
  readonly topic?: unknown
  /** Times in RFC 3339; undefined where the format has none. */
  readonly registeredAt?: unknown
  readonly lastSeen?: unknown
}

export interface Source {
  /** The format, for the operator. */
  readonly name: string
  /** Whether names and times are as this project stores them, and each device brings its topic. */
  readonly isOurs: boolean
  /** All devices, one after the other, once. Throws BadFile at a line of our own export that is no JSON. */
  readonly entries: Iterable<Entry>
}

/** A file that cannot be read on. `message` is one line and quotes nothing of the file: it may hold tokens. */
export class BadFile extends Error {
  override name = 'BadFile'
}

type Members = Readonly<Record<string, unknown>>

/** A database: one JSON object. */
interface Database {
  readonly name: string
  /** Whether an object with these members is such a database. */
  recognizes(members: Members): boolean
  entries(members: Members): Iterable<Entry>
}

/**
 * `{Users: {user: {Accounts: {id: {DeviceToken, Mailboxes, RegistrationTime}}}}}`. The later of the two daemons in Go
 * keeps the time of the latest registration, and Go's zero time for a device that it found without one.
 */
const go: Database = {
  name: 'database of a Go daemon',
  recognizes: ({ Users }) => holds(Users, 'Accounts'),
  *entries({ Users }) {
    for (const [user, { Accounts }] of objectsIn(Users))
      for (const [account, device] of objectsIn(Accounts)) {
        const { DeviceToken: token, Mailboxes: mailboxes, RegistrationTime: time } = device
        const isZero = typeof time === 'string' && time.startsWith('0001-01-01T')
        yield { user, account, token, mailboxes, lastSeen: isZero ? undefined : time }
      }
  },
}

/**
 * `{user: {accounts: {id: {devices: {token: {mailboxes: […]}}}}}}`: no times, and every token that an account ever had.
 * The daemon splits lists at every comma and keeps null for what is then no quoted text: `()` became `[null]`.
 */
const python: Database = {
  name: 'database of the Python daemon',
  recognizes: members => holds(members, 'accounts'),
  *entries(members) {
    for (const [user, { accounts }] of objectsIn(members))
      for (const [account, { devices }] of objectsIn(accounts))
        for (const [token, { mailboxes }] of objectsIn(devices)) {
          const named = Array.isArray(mailboxes) ? mailboxes.filter(name => name !== null) : mailboxes
          yield { user, account, token, mailboxes: named }
        }
  },
}

/** In this order: a user of a Go daemon may be called `accounts`. */
const DATABASES: readonly Database[] = [go, python]

const LF = 0x0a
const SPACE = 0x20

/** Tells which format `file` has. Throws BadFile when it has none of them. */
export function readSource(file: Buffer): Source {
  const bytes = file.subarray(file.indexOf('\ufeff') === 0 ? 3 : 0)
  if (isExport(bytes)) return { name: 'xaps export', isOurs: true, entries: exportedIn(bytes) }
  const value = parse(bytes.toString())
  const database = DATABASES.find(({ recognizes }) => isObject(value) && recognizes(value))
  if (!database)
    throw new BadFile('neither a database of the Python or a Go daemon nor an export of this command')
  return { name: database.name, isOurs: false, entries: database.entries(membersOf(value)) }
}

/** The output of `xaps export`: JSON lines, one device each, with the members of an Entry. */
function* exportedIn(bytes: Buffer): Generator<Entry> {
  let number = 0
  for (const line of linesIn(bytes)) {
    number += 1
    if (line.trim() !== '') yield membersOf(parse(line, `line ${number} is `))
  }
}

/** An empty file is the export of an empty store. */
function isExport(bytes: Buffer): boolean {
  if (bytes.every(byte => byte <= SPACE)) return true
  const [first = ''] = linesIn(bytes)
  try {
    const { user, account, token } = membersOf(JSON.parse(first))
    return [user, account, token].every(value => typeof value === 'string')
  } catch {
    // The first line of a database is as a rule no JSON of its own.
    return false
  }
}

/** Lines end at LF only: a mailbox name may hold the line ends of Unicode. */
function* linesIn(bytes: Buffer): Generator<string> {
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(LF, start)
    yield bytes.toString('utf8', start, end < 0 ? bytes.length : end)
    start = end < 0 ? bytes.length : end + 1
  }
}

/** The engine's own message would quote what it found. */
function parse(text: string, where = ''): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new BadFile(`${where}not valid JSON: it is damaged or cut off`)
  }
}

/** Whether `value` is an object that is empty or has a member with a member of this name. */
function holds(value: unknown, name: string): boolean {
  const inner = objectsIn(value)
  return isObject(value) && (inner.length === 0 || inner.some(([, members]) => Object.hasOwn(members, name)))
}

/** The members of `value` by name, each as the object that it is, or should be. */
function objectsIn(value: unknown): (readonly [name: string, members: Members])[] {
  return Object.entries(membersOf(value)).map(([name, inner]) => [name, membersOf(inner)] as const)
}

function membersOf(value: unknown): Members {
  return isObject(value) ? value : {}
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
