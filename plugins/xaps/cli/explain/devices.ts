/** The devices of a user, and the fate of a push to each; and where there is none, under which name there is one. */

import { asciiLowerCase } from '../../base/canonical-names.ts'
import { maskToken } from '../../base/log.ts'
import type { Config } from '../../config/config.ts'
import type { Came, Device, GoneDevice } from '../../device/device.ts'
import type { DeviceStore } from '../../device/store.ts'
import { isSuperseded } from '../../device/superseded.ts'
import { DECISIONS, type Decision } from '../../observe/decisions.ts'
import { count } from '../check/finding.ts'
import { afterPush } from '../device-table.ts'
import { type Near, nearNames } from '../near-names.ts'
import { ago, iso } from '../times.ts'
import type { Step, Steps } from './step.ts'

/** Of the devices that Apple has reported gone. */
const MOST_GONE = 3

export interface Asked {
  readonly user: string
  readonly users: Config['users']
  /** Those that the credentials are good for; undefined where there are no credentials, which is told elsewhere. */
  readonly topics: readonly string[] | undefined
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** All that the store knows of the user. Rejects as the store does. */
export async function devicesOf(store: DeviceStore, asked: Asked): Promise<Steps> {
  const { user, now } = asked
  const [devices, gone] = await Promise.all([store.devices(user), store.gone(user)])
  const left = gone.filter(({ token }) => !devices.some(device => device.token === token))
  const recent = left.toSorted((a, b) => b.at - a.at).slice(0, MOST_GONE)
  const steps = [...devices.map(device => deviceStep(device, devices, asked)), ...recent.map(goneStep)]
  if (devices.length === 0) return [noDeviceStep(), ...steps, ...(await nearSteps(store, asked))]
  const [came, lastPush] = await Promise.all([store.came(user), store.lastPush(user)])
  return [...steps, lastPushStep(lastPush, now), cameStep(came)]
}

function deviceStep(device: Device, devices: readonly Device[], asked: Asked): Step {
  const { account, topic, lastSeen } = device
  const token = maskToken(device.token)
  const fate = fateOf(device, devices, asked)
  const text = `device ${token}, last seen ${iso(lastSeen)}: ${fate ? DECISIONS[fate.decision] : 'pushed'}`
  const data = { token, account, topic, lastSeen: iso(lastSeen) }
  return { about: 'device', level: fate ? 'warn' : 'ok', text, ...fate, data }
}

/** Why this device is not pushed; undefined where it is. */
function fateOf(
  device: Device,
  devices: readonly Device[],
  { topics = [device.topic], now }: Asked,
): { readonly decision: Decision; readonly remedy: string } | undefined {
  if (isSuperseded(device, devices, now))
    return {
      decision: 'superseded',
      remedy:
        'superseded: the newer registration of the same phone stands here, too; this one is forgotten in time',
    }
  if (topics.includes(device.topic)) return undefined
  return {
    decision: 'other_topic',
    remedy: `it listens to ${device.topic}, and the credentials are for ${topics.join(', ')}; a phone registers again within a day, at once when its mail is switched off and on`,
  }
}

function goneStep({ account, token, at }: GoneDevice): Step {
  return {
    about: 'device',
    level: 'warn',
    text: `device ${maskToken(token)}: Apple reported a device gone on ${iso(at)}`,
    remedy:
      "the account was removed from the phone, or it must register again: switch the account's mail off and on in the phone's settings",
    data: { token: maskToken(token), account, goneAt: iso(at) },
  }
}

function noDeviceStep(): Step {
  return {
    about: 'device',
    level: 'warn',
    text: `no device: ${DECISIONS.no_device}`,
    remedy:
      'a phone registers when it opens its mail; does it fetch by Push (Settings › Mail › Accounts › Fetch New Data)?',
    decision: 'no_device',
  }
}

/** Users with devices whose name may be the one that is meant. Rejects as the store does. */
export async function nearSteps(
  store: Pick<DeviceStore, 'users'>,
  { user, users }: Pick<Asked, 'user' | 'users'>,
): Promise<Steps> {
  const near = await nearNames(store, user, users.recipientDelimiter)
  return near.map(other => ({
    about: 'device',
    level: 'warn',
    text: `${user} is unknown; ${other.user} has ${count(other.devices, 'device')}`,
    remedy: `if both are one user: ${whatToSet(user, other, users)}`,
    data: { nearUser: other.user, devices: other.devices },
  }))
}

/** The setting by which mail and registration come to one name. */
function whatToSet(user: string, { user: near }: Near, users: Config['users']): string {
  const hasDomain = user.includes('@')
  if (asciiLowerCase(user) === asciiLowerCase(near))
    return `[users] lowercase = ${users.lowercase ? 'true is newer than the registration, which comes again within a day' : 'true'}`
  if (hasDomain === near.includes('@'))
    return '[users] recipient_delimiter must be that of Dovecot, or none where names have such a character'
  if (users.dovecotUserdb !== '')
    return "Dovecot's userdb must answer the name that its auth gives at login (auth_username_format)"
  return `[users] username = ${hasDomain ? 'local_part' : 'address'}, or dovecot_userdb, whose answer wins`
}

/** As far back as the store remembers pushes. */
function lastPushStep(ms: number | undefined, now: number): Step {
  const text = ms === undefined ? 'none begun in the last ten minutes' : `begun ${ago(now - ms, now)}`
  const data = ms === undefined ? {} : { lastPushAt: iso(now - ms) }
  return { about: 'push', level: 'ok', text: `last push to this user: ${text}`, data }
}

const NOT_KNOWN = "not known; iOS 18.5 and later tell, if Dovecot 2.4's exporter sends imap_id_received"

/** It is the user's that is known, not the device's. */
function cameStep(came: Came | undefined): Step {
  const when = came && `${iso(came.at)}${afterPush(came)} (known of the user, not of the phone)`
  const data = came ? { userCameAt: iso(came.at), userCameAfterMs: came.afterMs } : {}
  return {
    about: 'push',
    level: 'ok',
    text: `a push last brought a phone of this user: ${when ?? NOT_KNOWN}`,
    data,
  }
}
