/** Listeners and companions for tests, and requests to them. */

import assert from 'node:assert/strict'
import net from 'node:net'
import type { Clock } from '../../plugins/xaps/base/clock.ts'
import type { CompanionOptions, EventTaker } from '../../plugins/xaps/registration/companion.ts'
import type { ListenerParts } from '../../plugins/xaps/registration/connections.ts'
import { Connections } from '../../plugins/xaps/registration/connections.ts'
import type { NotifyOutcome } from '../../plugins/xaps/registration/notify.ts'
import { UNFINISHED_REQUESTS_BYTES, Unfinished } from '../../plugins/xaps/registration/receive.ts'
import { makeLogRefusal } from '../../plugins/xaps/registration/refusal.ts'
import type { View } from '../../plugins/xaps/registration/status-page.ts'
import type { Notification, ValidRegister } from '../../plugins/xaps/registration/validate.ts'
import { keptLog } from './tools.ts'

export const TOPIC = 'com.apple.mail.XServer.01234567-89ab-cdef-0123-456789abcdef'
export const RULES = { subtopics: ['com.apple.mobilemail'], lowercase: true }
export const TOKEN = 'ab'.repeat(32)

export interface Behaviour {
  readonly accept?: () => Promise<string>
  readonly notify?: () => Promise<NotifyOutcome>
  readonly takeEvent?: ListenerParts['takeEvent']
  readonly unfinished?: Unfinished
  readonly connections?: number
  readonly clock?: Clock
}

export function makeListener(behaviour: Behaviour = {}) {
  const log = keptLog()
  const registered: ValidRegister[] = []
  const notified: Notification[] = []
  const counted = { refused: 0 }
  const parts: ListenerParts = {
    accept(registration) {
      registered.push(registration)
      return behaviour.accept?.() ?? Promise.resolve(TOPIC)
    },
    notify(notification) {
      notified.push(notification)
      return behaviour.notify?.() ?? Promise.resolve('accepted')
    },
    takeEvent: behaviour.takeEvent ?? (() => undefined),
    refused: () => {
      counted.refused += 1
    },
    rules: RULES,
    status: () => 'up_seconds=1',
    overview: user => JSON.stringify({ user }),
    logRefusal: makeLogRefusal(log, behaviour.clock),
    unfinished: behaviour.unfinished ?? new Unfinished(UNFINISHED_REQUESTS_BYTES),
    connections: new Connections(behaviour.connections ?? 10_000, log, behaviour.clock),
  }
  return { log, registered, notified, counted, parts }
}

/** A line as st3fan's plugin sends it. */
export function registerLine(user = 'user@example.org', mailboxes = '("INBOX")'): string {
  return `REGISTER aps-account-id="A"\taps-device-token="${TOKEN}"\taps-subtopic="com.apple.mobilemail"\tdovecot-username="${user}"\tdovecot-mailboxes=${mailboxes}\r\n`
}

export const NOTIFY_LINE =
  'NOTIFY dovecot-username="user@example.org"\tdovecot-mailbox="INBOX"\tevents=("FlagsSet")\r\n'

/** A body as freswa's plugin sends it. */
export function registerBody(user = 'user@example.org'): string {
  return `{"ApsAccountId":"A","ApsDeviceToken":"${TOKEN}","ApsSubtopic":"com.apple.mobilemail","Username":"${user}","Mailboxes": ["INBOX"]}`
}

export const NOTIFY_BODY = '{"Username":"user@example.org","Mailbox":"INBOX","Events": ["FlagsSet"]}'

/** A request as freswa's plugin sends it; a line of `headers` takes the place of the one with its name. */
export function post(path: string, body: string, headers: readonly string[] = []): string {
  const usual = [
    'Host: localhost:11619',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Content-Type: application/json; charset=utf-8',
  ]
  const nameOf = (header: string) => header.slice(0, header.indexOf(':')).toLowerCase()
  const kept = usual.filter(header => !headers.map(nameOf).includes(nameOf(header)))
  return [`POST ${path} HTTP/1.1`, ...kept, ...headers, '', body].join('\r\n')
}

/** Takes all events, and remembers none. */
export const NO_EVENTS: EventTaker = {
  take: () => undefined,
  makeServer: () => ({ server: net.createServer(), close: () => Promise.resolve() }),
  status: () => '',
}

/** Nothing of it is asked for. */
export const NO_VIEW: View = {
  overview: () => assert.fail('no overview'),
  answer: () => assert.fail('no answer'),
  metrics: () => assert.fail('no metrics'),
}

/** A companion with both listeners, its Unix socket at `socket`. */
export function companionOptions(socket: string, more: Partial<CompanionOptions> = {}): CompanionOptions {
  return {
    socket,
    socketMode: 0o660,
    socketOwner: {},
    listen: ['127.0.0.1:0'],
    ...RULES,
    notified: { newMail: false, changes: true },
    padTopic: true,
    statusFrom: ['127.0.0.0/8', '::1'],
    ...more,
  }
}

/**
 * The script of a process with such a companion, whose store takes everything and whose topic is T. It writes warnings and
 * errors to standard output, and has the `companion` when `then`, an expression, is evaluated.
 */
export function companionScript(options: CompanionOptions, then: string): string {
  const module = require.resolve('../../plugins/xaps/registration/companion.js')
  return `
    const say = (message, fields = {}) => console.log(message, JSON.stringify(fields))
    const log = { debug() {}, info() {}, notice() {}, warn: say, error: say }
    const spool = { size: 0, add: async () => {}, start() {}, saveNow() {}, close: async () => {} }
    const events = { take() {}, status: () => '' }
    const parts = { events, save: async () => {}, spool, onReady() {}, devices: async () => [], submit() {}, registered() {}, notPushed() {}, pending: () => 0, topic: () => 'T', log }
    require(${JSON.stringify(module)}).startCompanion(${JSON.stringify(options)}, parts).then(companion => ${then})`
}
