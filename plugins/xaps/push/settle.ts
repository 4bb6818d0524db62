/** What a final verdict changes in the device store. The store's own faults are logged: the next push asks again. */

import type { Device, UserRecord } from '../device/device.ts'
import { type Log, maskToken, maskUser, reasonOf } from '../log.ts'
import type { Verdict } from './verdict.ts'

/** A device, and the user whose record holds it. */
export interface Target {
  readonly user: string
  readonly device: Device
}

type Update = (user: string, change: (record: UserRecord) => UserRecord) => Promise<UserRecord>
type RemoveGone = (record: UserRecord, device: Pick<Device, 'account' | 'token'>, at: number) => UserRecord

export interface Settler {
  settle(target: Target, verdict: Verdict): Promise<void>
}

/** `othersAccepted`: whether Apple accepted other devices lately with the same credentials. */
export function makeSettler(
  update: Update,
  removeGone: RemoveGone,
  log: Log,
  othersAccepted: () => boolean,
): Settler {
  return {
    async settle(target, verdict) {
      const at = goneAt(target, verdict, othersAccepted)
      if (at === undefined) return
      const { user, device } = target
      const fields = { user: maskUser(user), token: maskToken(device.token) }
      try {
        const record = await update(user, before => removeGone(before, device, at))
        const kept = record.devices.some(
          ({ account, token }) => account === device.account && token === device.token,
        )
        if (kept) log.info('Apple reported a device gone that has registered again since', fields)
        else log.info('device removed: Apple reports it gone', { ...fields, reason: nameOf(verdict) })
      } catch (error) {
        log.warn('a device that Apple reports gone could not be removed', {
          ...fields,
          cause: reasonOf(error),
        })
      }
    },
  }
}

/** Up to when the device must have been seen last to be removed; undefined: it stays whatever happens. */
function goneAt({ device }: Target, verdict: Verdict, othersAccepted: () => boolean): number | undefined {
  if (verdict.kind === 'gone') return verdict.since
  if (verdict.kind !== 'refused' || verdict.fault !== 'token') return undefined
  return othersAccepted() ? device.lastSeen : undefined
}

function nameOf(verdict: Verdict): string {
  return verdict.kind === 'refused' ? verdict.reason : 'Unregistered'
}
