/** `xaps explain`: which user's devices are pushed for mail to an address, and why (not). */

import path from 'node:path'
import type { Command } from 'commander'
import { loadCredentials } from '../apns/credentials.ts'
import { asciiLowerCase } from '../base/canonical-names.ts'
import { maskToken } from '../base/log.ts'
import { stderrLog } from '../base/stderr-log.ts'
import { type Config, pushSources } from '../config/config.ts'
import { readIfThere } from '../config/ini.ts'
import { openUserLookup } from '../delivery/recipients.ts'
import type { Device } from '../device/device.ts'
import { isSuperseded } from '../device/superseded.ts'
import type { Address } from '../haraka/types.ts'
import { configOf, Failure, print, withExistingStore } from './context.ts'
import { SUPERSEDED } from './devices.ts'

export function addExplain(xaps: Command): void {
  xaps
    .command('explain')
    .description('say whose devices are pushed for mail to an address')
    .argument('<address>')
    .action(async (text: string, _options: unknown, command: Command) => {
      const config = configOf(command)
      const address = parseAddress(text)
      const lookup = openUserLookup(config, { get: file => listIn(config, file) }, stderrLog())
      try {
        const [bySmtp] = await lookup.usersOf([address], 'SMTP')
        const [user] = await lookup.usersOf([address], 'LMTP')
        if (user === undefined) throw new Failure(`${text}: Dovecot knows no such user; nothing is pushed`)
        print(`new mail is told by ${SOURCES[pushSources(config).newMail]}`)
        print(`user: ${user}`)
        print(`domain ${address.host}: ${bySmtp === undefined ? 'local over LMTP only' : 'local'}`)
        await explainDevices(config, user)
      } finally {
        lookup.close()
      }
    })
}

const SOURCES = {
  haraka: "Haraka's hooks ([delivery] source = haraka)",
  plugin: "Dovecot's XAPS plugin ([delivery] source = plugin); Haraka's hooks push nothing",
} as const

async function explainDevices(config: Config, user: string): Promise<void> {
  const { topics } = loadCredentials(config.apns, config.harakaDir)
  const devices = await withExistingStore(config, store => store.devices(user))
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
}

/** An address as in an envelope, with or without angle brackets. */
function parseAddress(text: string): Address {
  const bare = text.replace(/^<(.*)>$/, '$1')
  const at = bare.lastIndexOf('@')
  if (at < 1) throw new Failure(`${text}: expected an address such as alice@example.org`)
  return { user: bare.slice(0, at), host: asciiLowerCase(bare.slice(at + 1)) }
}

/** A list file of Haraka's, read without Haraka: one entry a line, comments begin with # or ;. */
function listIn({ harakaDir }: Config, file: string): string[] {
  return readIfThere(path.join(harakaDir, 'config', file))
    .split(/\r?\n/)
    .map(line => line.trim())
    .filter(line => line !== '' && !/^[#;]/.test(line))
}
