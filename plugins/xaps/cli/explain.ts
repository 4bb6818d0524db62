/** `xaps explain`: which user's devices are pushed for mail to an address, and why (not). */

import path from 'node:path'
import { loadCredentials } from '../apns/credentials.ts'
import { maskToken, stderrLog } from '../base/log.ts'
import { type Config, pathIn, pushSources } from '../config/config.ts'
import { readIfThere } from '../config/ini.ts'
import { type Address, parseAddress } from '../delivery/address.ts'
import { openUserLookup } from '../delivery/recipients.ts'
import type { Came, Device } from '../device/device.ts'
import { isSuperseded } from '../device/superseded.ts'
import { DECISIONS } from '../observe/decisions.ts'
import { type CommandSpec, Failure, print, withExistingStore } from './context.ts'
import { afterPush, SUPERSEDED } from './devices.ts'
import { askOverview } from './status.ts'

export const explain: CommandSpec = {
  name: 'explain',
  description: 'say whose devices are pushed for mail to an address',
  arguments: [['<address>']],
  async run(config, _, text) {
    const address = addressIn(text)
    const lookup = openUserLookup(config, { get: file => listIn(config, file) }, stderrLog())
    try {
      const [bySmtp] = (await lookup.resolve([address], 'SMTP')).users
      const [user] = (await lookup.resolve([address], 'LMTP')).users
      if (user === undefined) throw new Failure(`${text}: Dovecot knows no such user; nothing is pushed`)
      print(`new mail is told by ${SOURCES[pushSources(config).newMail]}`)
      print(`user: ${user}`)
      print(`domain ${address.host}: ${bySmtp === undefined ? 'local over LMTP only' : 'local'}`)
      await explainDevices(config, user)
      print(await lastMail(config, user))
    } finally {
      lookup.close()
    }
  },
}

const SOURCES = {
  haraka: "Haraka's hooks ([delivery] source = haraka)",
  plugin: "Dovecot's XAPS plugin ([delivery] source = plugin); Haraka's hooks push nothing",
  events: "Dovecot's event exporter ([delivery] source = events); Haraka's hooks push nothing",
} as const

async function explainDevices(config: Config, user: string): Promise<void> {
  const { topics } = loadCredentials(config.apns, config.harakaDir)
  const [devices, came] = await withExistingStore(config, store =>
    Promise.all([store.devices(user), store.came(user)]),
  )
  const now = Date.now()
  const why = (device: Device): string => {
    if (isSuperseded(device, devices, now)) return `not pushed: ${SUPERSEDED}`
    if (topics.includes(device.topic)) return 'pushed'
    return `not pushed: it listens to ${device.topic} until it registers again`
  }
  for (const device of devices) {
    const seen = new Date(device.lastSeen).toISOString()
    print(`device ${maskToken(device.token)}, last seen ${seen}: ${why(device)}`)
  }
  if (devices.length === 0) print('no device: no phone has registered for this user, or not for too long')
  else print(`a push last brought a phone of this user: ${came ? cameInWords(came) : NOT_KNOWN}`)
}

const NOT_KNOWN = "not known; iOS 18.5 and later tell, if Dovecot 2.4's exporter sends imap_id_received"

/** It is the user's that is known, not the device's. */
function cameInWords(came: Came): string {
  return `${new Date(came.at).toISOString()}${afterPush(came)} (known of the user, not of the phone)`
}

/** What became of the user's last mail, as far as the companion and the processes that report to it know. */
async function lastMail(config: Config, user: string): Promise<string> {
  const socket = pathIn(config, config.registration.socket)
  const answer = await askOverview(socket, user).catch((error: unknown) => error as Error)
  if (answer instanceof Error)
    return `last mail: not known, no companion answers at ${socket}: ${answer.message}`
  const { last, overview } = answer
  if (last) {
    const mail = last.mail === undefined ? '' : ` (mail ${last.mail})`
    return `last mail: ${new Date(last.at).toISOString()}, ${DECISIONS[last.decision]}${mail}`
  }
  const since = Math.min(...overview.processes.map(({ startedAt }) => startedAt))
  return `last mail: none of this user since ${new Date(since).toISOString()}`
}

/** An address as in an envelope, with or without angle brackets. */
function addressIn(text: string): Address {
  const address = parseAddress(text.replace(/^<(.*)>$/, '$1'))
  if (address.user === '' || !text.includes('@'))
    throw new Failure(`${text}: expected an address such as alice@example.org`)
  return address
}

/** A list file of Haraka's, read without Haraka: one entry a line, comments begin with # or ;. */
function listIn({ harakaDir }: Config, file: string): string[] {
  const lines = readIfThere(path.join(harakaDir, 'config', file)).split('\n')
  return lines.map(line => line.trim()).filter(line => !/^(?:$|[#;])/.test(line))
}
