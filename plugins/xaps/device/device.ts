/** The data of one device, and of one user's devices. Knows no store. */

/**
 * One registration of one phone for one account. It is identified by user, account id and token: a phone restored
 * from another's backup keeps the account id and gets a new token, and both phones must keep being pushed.
 */
export interface Device {
  /** aps-account-id as the phone sent it, a UUID as a rule. */
  readonly account: string
  /** The device token: hex, lower case. */
  readonly token: string
  /** Mailbox names in canonical form (UTF-8, INBOX in capitals), as registered. */
  readonly mailboxes: readonly string[]
  readonly subtopic: string
  /** The topic that the phone was told, and so the only one it listens to. */
  readonly topic: string
  /** Milliseconds since the epoch: the first registration, and the latest. */
  readonly registeredAt: number
  readonly lastSeen: number
}

/** A device that Apple reported gone at `at` (ms since the epoch): no registration from before may bring it back. */
export interface GoneDevice {
  readonly account: string
  readonly token: string
  readonly at: number
}

/** A phone of a user's came because of a push, and said so (Apple TN3189); it does not say which of the user's phones it is. */
export interface Came {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Milliseconds since the user's last push before it; absent where that was not remembered any more. */
  readonly afterMs?: number
}

/** All that the store holds of one user. */
export interface UserRecord {
  readonly devices: readonly Device[]
  readonly gone: readonly GoneDevice[]
  /** The last time; absent where none has been told of. */
  readonly came?: Came
}

export const EMPTY_RECORD: UserRecord = { devices: [], gone: [] }

/** The name of a device's pushes, under which they are claimed: the same in every process. */
export function pushNameOf({ account, token }: Pick<Device, 'account' | 'token'>): string {
  return `${account}/${token}`
}

/** Whether both are the same device of one user. */
export function sameDevice(
  a: Pick<Device, 'account' | 'token'>,
  b: Pick<Device, 'account' | 'token'>,
): boolean {
  return a.account === b.account && a.token === b.token
}
