/** The phones of a simulated world, and what happens to their users: mails, changes, registrations, accounts that are removed. */

import type { Oracle } from './oracle.ts'
import type { ProcessName } from './plan.ts'
import type { Running } from './plugin.ts'
import { BEGINNING, type SimulatedProcess } from './process.ts'
import { numberOf, tokenOf } from './promises.ts'
import { MS, type Scheduler } from './scheduler.ts'

const SUBTOPIC = 'com.apple.mobilemail'

export interface PhonesParts {
  readonly scheduler: Scheduler
  readonly oracle: Oracle
  readonly processes: Readonly<Record<ProcessName, SimulatedProcess>>
  readonly running: ReadonlyMap<ProcessName, Running>
  /** Of each device, whose it is. */
  readonly owners: readonly number[]
  readonly say: (who: string, what: string) => void
}

export class Phones {
  readonly #parts: PhonesParts
  /** Since when the account of a phone is removed, by Apple's clock. */
  readonly #dead = new Map<string, number>()
  readonly #generations: number[]
  /** When each has last asked to be registered. */
  readonly #askedAt = new Map<number, number>()

  constructor(parts: PhonesParts) {
    this.#parts = parts
    this.#generations = parts.owners.map(() => 0)
  }

  /** Since when the token is dead, ms since the epoch. */
  deadSince(token: string): number | undefined {
    return this.#dead.get(token)
  }

  /** A mail to `user`, delivered by the worker `name`. */
  mail(name: ProcessName, user: number): void {
    const { running, processes, oracle, scheduler } = this.#parts
    const worker = running.get(name)
    if (!worker?.mail) return
    const recipients = [{ user: `u${user}`, host: 'example.org' }]
    worker.mail({ recipients, mode: 'LMTP', at: processes[name].wallMs(), mail: undefined })
    oracle.took(name, user, scheduler.now, `a mail to user ${user}`)
  }

  /** A notification of Dovecot's. */
  change(user: number): void {
    const { running, processes, oracle, scheduler } = this.#parts
    const door = running.get('companion')?.door
    if (!door) return
    const at = scheduler.now
    const change = { user: `u${user}@example.org`, mailbox: 'INBOX', events: ['FlagsSet'] }
    door.notify(change, processes.companion.wallMs()).then(
      () => processes.companion.alive && oracle.took('companion', user, at, `a change of user ${user}`),
      error => oracle.breaks('alive', `notify rejects: ${error}`),
    )
  }

  /** The phone asks to be registered: its token lives. */
  register(device: number): void {
    const { running, processes, oracle, scheduler, say } = this.#parts
    this.#dead.delete(tokenOf(device))
    const door = running.get('companion')?.door
    const at = scheduler.now
    // Two in one millisecond have no order.
    if (!door || this.#askedAt.get(device) === at) return
    this.#askedAt.set(device, at)
    const generation = (this.#generations[device] ?? 0) + 1
    this.#generations[device] = generation
    const { companion } = processes
    const { pid } = companion
    door.accept(this.#requestOf(device, generation), companion.wallMs()).then(
      () => {
        if (!companion.isLife(pid)) return
        say('companion', `has registered device ${device}/g${generation}`)
        oracle.registered(device, generation, at)
      },
      () => companion.isLife(pid) && say('companion', `refuses device ${device}/g${generation}`),
    )
  }

  /** The number of a registration stands in its mailboxes. */
  #requestOf(device: number, generation: number) {
    const user = `u${this.#parts.owners[device]}@example.org`
    const mailboxes = ['INBOX', `g${generation}`]
    return { user, account: `A${device}`, token: tokenOf(device), subtopic: SUBTOPIC, mailboxes }
  }

  /** The account is removed from the phone. */
  remove(device: number): void {
    const token = tokenOf(device)
    if (!this.#dead.has(token)) this.#dead.set(token, BEGINNING + Math.floor(this.#parts.scheduler.now / MS))
  }
}

/** Devices as a trace shows them: number and registration. */
export function toldOf(
  devices: readonly { readonly token: string; readonly mailboxes: readonly string[] }[],
): string {
  return devices.map(({ token, mailboxes }) => `${numberOf(token)}/${mailboxes[1]}`).join()
}
