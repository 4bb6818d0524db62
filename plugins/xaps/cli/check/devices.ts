/** Checks of the registered devices as a whole: how many, for which topics, and under which form of user name. */

import type { Config } from '../../config/config.ts'
import type { DeviceStore } from '../../device/store.ts'
import { count, type Finding, ok, warn } from './finding.ts'

interface Census {
  readonly users: number
  readonly devices: number
  /** Devices per topic. */
  readonly topics: ReadonlyMap<string, number>
  /** Users whose names have a domain, and one that is of the other kind than the configuration makes. */
  readonly withDomain: number
  readonly unlike: string | undefined
}

/** `topics`: those that the credentials are good for, where there are credentials. Rejects as the store does. */
export async function checkDevices(
  store: DeviceStore,
  where: string,
  users: Config['users'],
  topics: readonly string[] | undefined,
): Promise<Finding[]> {
  const census = await countAll(store, users)
  return [
    ok(`${where}: ${census.devices} devices of ${census.users} users`),
    ...(topics === undefined ? [] : checkTopics(census, topics)),
    ...checkNames(census, users),
  ]
}

async function countAll(store: DeviceStore, users: Config['users']): Promise<Census> {
  const topics = new Map<string, number>()
  let [known, devices, withDomain] = [0, 0, 0]
  let unlike: string | undefined
  for await (const [user, owned] of store.users()) {
    const hasDomain = user.includes('@')
    known += 1
    devices += owned.length
    if (hasDomain) withDomain += 1
    if (hasDomain !== (users.username === 'address')) unlike ??= user
    for (const { topic } of owned) topics.set(topic, (topics.get(topic) ?? 0) + 1)
  }
  return { users: known, devices, topics, withDomain, unlike }
}

/** A phone hears pushes for the topic that it was told, and no other. */
function checkTopics({ devices, topics: found }: Census, topics: readonly string[]): Finding[] {
  const others = [...found].filter(([topic]) => !topics.includes(topic))
  if (others.length === 0) return []
  const left = others.reduce((sum, [, devices]) => sum + devices, 0)
  const names = others.map(([topic]) => topic).join(', ')
  const today = `today's is ${topics[0]}`
  const after =
    left === devices
      ? 'if that is right, they come back within a day, as each phone registers; if not, set the credentials of before'
      : 'they come back within a day, as each phone registers'
  return [
    warn(
      `${left} of ${count(devices, 'device')} listen to another topic (${names}; ${today}) and are not pushed: ${after}`,
    ),
  ]
}

/** Where userdb is asked, Dovecot's word for a user counts. */
function checkNames(
  { users, withDomain, unlike }: Census,
  { username, dovecotUserdb }: Config['users'],
): Finding[] {
  if (unlike === undefined || dovecotUserdb !== '') return []
  const [number, form, other] =
    username === 'address'
      ? [users - withDomain, 'have no domain', 'local_part']
      : [withDomain, 'have a domain', 'address']
  const most =
    number === users
      ? `set username = ${other}, or the name that Dovecot's auth gives`
      : 'their mail wakes no phone'
  return [
    warn(
      `${number} of ${count(users, 'registered user')} (${unlike}) ${form}, but [users] username = ${username} looks for names of the other form: ${most}`,
    ),
  ]
}
