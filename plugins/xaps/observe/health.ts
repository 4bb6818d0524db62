/** Whether push works, in one sentence, for the page and `xaps status`: the worst that is known of any process. Pure. */

import type { Health, Overview, ProcessState } from './overview.ts'

type Facts = Pick<Overview, 'at' | 'processes' | 'spooled' | 'devices'>

const DAY_MS = 86_400_000

/** An operator has to renew the certificate for Apple in so many days. */
const RENEW_WITHIN_DAYS = 14

const APPLE: Readonly<Record<string, Omit<Health, 'since'>>> = {
  setup: {
    state: 'down',
    sentence: 'Apple refuses our pushes',
    remedy: 'run `xaps check`: it names the setting of [apns] that Apple does not take',
  },
  connection: {
    state: 'down',
    sentence: 'Apple cannot be reached; pushes wait',
    remedy: 'is port 443 to api.push.apple.com open? `xaps check` tells how far it gets',
  },
  busy: {
    state: 'impaired',
    sentence: 'Apple asks to wait; pushes wait',
    remedy: 'nothing: they are tried again',
  },
}

/** `workersExpected`: processes of Haraka's report to this one, and have had the time to. */
export function healthOf(facts: Facts, workersExpected: boolean): Health {
  return (
    certificateHasEnded(facts) ??
    appleOf(facts) ??
    storeOf(facts) ??
    workersOf(facts, workersExpected) ??
    spoolOf(facts) ??
    certificateEnds(facts) ??
    works(facts)
  )
}

function appleOf({ processes }: Facts): Health | undefined {
  const { apple } = processes.find(({ apple: { trouble } }) => trouble !== undefined) ?? {}
  const words = APPLE[apple?.trouble ?? '']
  if (!apple || !words) return undefined
  const { failure, troubleSince } = apple
  const sentence = failure === undefined ? words.sentence : `${words.sentence}: ${failure}`
  return { ...words, sentence, ...(troubleSince === undefined ? {} : { since: troubleSince }) }
}

function storeOf({ processes }: Facts): Health | undefined {
  const { store } = processes.find(({ store: { up } }) => up === false) ?? {}
  if (!store) return undefined
  return {
    state: 'down',
    sentence: `The device store does not answer: ${store.failure ?? 'no reason is known'}`,
    remedy: 'is Redis up, is the disk full? `xaps check` writes to it and tells',
    ...(store.since === undefined ? {} : { since: store.since }),
  }
}

function workersOf({ processes }: Facts, expected: boolean): Health | undefined {
  if (!expected || processes.length > 1) return undefined
  return {
    state: 'impaired',
    sentence: "No process of Haraka's that delivers mail reports",
    remedy: 'is Haraka taking mail? With [delivery] source = plugin or events none needs to',
  }
}

function spoolOf({ spooled }: Facts): Health | undefined {
  if (spooled === 0) return undefined
  return {
    state: 'impaired',
    sentence: `${spooled} registrations wait in the spool, for the device store does not take them`,
    remedy: 'nothing is lost; `xaps check` writes to the store and tells why it fails',
  }
}

const endOf = (processes: readonly ProcessState[]): number =>
  Math.min(...processes.map(({ apple }) => apple.certificateEnds ?? Number.POSITIVE_INFINITY))

function certificateHasEnded({ at, processes }: Facts): Health | undefined {
  const end = endOf(processes)
  if (end > at) return undefined
  return {
    state: 'down',
    sentence: 'The certificate for Apple has ended',
    remedy: 'renew it; the files are read again by themselves (docs/credentials.md)',
    since: end,
  }
}

function certificateEnds({ at, processes }: Facts): Health | undefined {
  const days = Math.floor((endOf(processes) - at) / DAY_MS)
  if (days >= RENEW_WITHIN_DAYS) return undefined
  const sentence = `Push works, but the certificate for Apple ends in ${days === 1 ? '1 day' : `${days} days`}`
  return { state: 'impaired', sentence, remedy: 'renew it (docs/credentials.md)' }
}

function works({ at, processes, devices }: Facts): Health {
  if (devices?.devices === 0) return { state: 'works', sentence: 'Ready: no phone has registered yet' }
  const last = Math.max(...processes.map(({ apple }) => apple.acceptedAt ?? 0))
  if (last === 0) return { state: 'works', sentence: 'Ready: nothing has been pushed since the start' }
  return { state: 'works', sentence: `Push works: Apple accepted the last push ${agoOf(at - last)}` }
}

function agoOf(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s ago`
  const minutes = Math.round(seconds / 60)
  if (minutes < 120) return `${minutes} min ago`
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h ago` : `${Math.round(minutes / 1440)} days ago`
}
