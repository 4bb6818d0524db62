/** What is promised, with the numbers of docs/reliability.md; and what there is to know of events and devices. */

import type { Device } from '../../plugins/xaps/device/device.ts'
import type { Arrival } from './apple.ts'

export const PROMISES = {
  covered: '1: an event of a registered device is covered by a push that started at or after it',
  window: '2: never two pushes in a window while claims work',
  kept: '3: an answered registration is never missing',
  younger: '4: a 410 never removes a registration that is younger than its timestamp',
  settled: '5: after the faults have stopped, pending reaches 0 in bounded time',
  quiet: '6: one log line per change of state, never one per mail or push',
  alive: '7: no fault ends a process, and none is an error inside the plugin',
} as const

export type Promised = keyof typeof PROMISES

/** A promise that was broken, and how. */
export interface Broken {
  readonly promise: Promised
  readonly atUs: number
  readonly how: string
}

/** An event that a process has taken. */
export interface Taken {
  readonly at: number
  /** When its process has answered for it. */
  readonly takenAt: number
  /** The store that keeps the claims did not answer then, or late. */
  readonly isAway: boolean
  readonly what: string
  readonly process: string
  /** Of its user's devices, those that were in the store: by number. */
  open: number[]
}

export interface Known {
  /** The last that was answered: its number among those of the device, and when the phone asked. */
  answered: { readonly generation: number; readonly at: number } | undefined
  /** Since when it is in the store. */
  storedSince: number | undefined
  generation: number
  /** When the last push began that has reached Apple, and covers what came before. */
  coveredTo: number
  /** Apple's answers that let it be removed. */
  refusedAt: number
  goneSince: number
  /** The last push that Apple accepted and whose sender knows. */
  accepted: Arrival | undefined
}

export function unknownDevice(): Known {
  return {
    answered: undefined,
    storedSince: undefined,
    generation: 0,
    coveredTo: Number.NEGATIVE_INFINITY,
    refusedAt: Number.NEGATIVE_INFINITY,
    goneSince: Number.NEGATIVE_INFINITY,
    accepted: undefined,
  }
}

/** The number of a device, in its token. */
export const numberOf = (token: string): number => Number.parseInt(token, 16) - 1
export const tokenOf = (device: number): string => (device + 1).toString(16).padStart(64, '0')

/** A process and a device. */
export function unsureKey({ process, token }: Pick<Arrival, 'process' | 'token'>): string {
  return `${process} ${numberOf(token)}`
}

/** The number of a registration stands in its mailboxes. */
export function generationIn({ mailboxes }: Device): number {
  return Number(mailboxes.find(name => /^g\d+$/.test(name))?.slice(1) ?? 0)
}
