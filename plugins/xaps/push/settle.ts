/** What a final verdict changes in the device store. The store's own faults are logged: the next push asks again. */

import type { Verdict } from '../apns/verdict.ts'
import { type Fields, type Log, maskToken, maskUser, reasonOf } from '../base/log.ts'
import { type Device, sameDevice, type UserRecord } from '../device/device.ts'

/** A device, and the user whose record holds it. */
export interface Target {
  readonly user: string
  readonly device: Device
}

type Update = (user: string, change: (record: UserRecord) => UserRecord) => Promise<UserRecord>
type RemoveGone = (record: UserRecord, device: Pick<Device, 'account' | 'token'>, at: number) => UserRecord

export interface Settler {
  /** Never rejects; undefined where there is nothing to do. */
  settle(target: Target, verdict: Verdict): Promise<void> | undefined
}

/** `othersAccepted`: whether Apple accepted other devices lately with the same credentials. */
export function makeSettler(
  update: Update,
  removeGone: RemoveGone,
  log: Log,
  othersAccepted: () => boolean,
): Settler {
  const mayBlameToken = judgeOfTokens(log, othersAccepted)

  async function remove({ user, device }: Target, at: number, reason: string): Promise<void> {
    const fields = { user: maskUser(user), token: maskToken(device.token) }
    try {
      const record = await update(user, before => removeGone(before, device, at))
      sayWhatCameOfIt(
        record.devices.some(other => sameDevice(other, device)),
        { ...fields, reason },
        log,
      )
    } catch (error) {
      log.warn('a device that Apple reports gone could not be removed', {
        ...fields,
        cause: reasonOf(error),
      })
    }
  }

  return {
    settle(target, verdict) {
      if (verdict.kind === 'gone') return remove(target, verdict.since, 'Unregistered')
      if (verdict.kind !== 'refused' || verdict.fault !== 'token' || !mayBlameToken()) return undefined
      return remove(target, target.device.lastSeen, verdict.reason)
    },
  }
}

/** With the credentials of the wrong environment every token is "bad": an alarm, once, and no device is removed. */
function judgeOfTokens(log: Log, othersAccepted: () => boolean): () => boolean {
  let warned = false
  return () => {
    const others = othersAccepted()
    if (!others && !warned) {
      log.warn(
        'Apple calls a device token bad and has accepted no other lately: is [apns] environment right?',
      )
    }
    warned = !others
    return others
  }
}

function sayWhatCameOfIt(kept: boolean, fields: Fields, log: Log): void {
  if (kept) log.info('Apple reported a device gone that has registered again since', fields)
  else log.info('device removed: Apple reports it gone', fields)
}
