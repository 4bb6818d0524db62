/** `xaps push`: one push to each of a user's devices, now, with Apple's answer to each in words. */

import { adviceFor } from '../apns/advice.ts'
import { loadCredentials } from '../apns/credentials.ts'
import { Transport } from '../apns/transport.ts'
import type { Verdict, VerdictKind } from '../apns/verdict.ts'
import { canonicalUser } from '../base/canonical-names.ts'
import { maskToken, stderrLog } from '../base/log.ts'
import type { Device } from '../device/device.ts'
import type { DeviceStore } from '../device/store.ts'
import { isSuperseded } from '../device/superseded.ts'
import { consequenceOf, inWords } from '../push/consequences.ts'
import { Settler } from '../push/settle.ts'
import { type CommandSpec, Failure, print, withExistingStore } from './context.ts'
import { SUPERSEDED } from './devices.ts'
import { interruption } from './interruption.ts'
import { nearNames, noDevice } from './near-names.ts'
import { dim, fail, ok, warn } from './style.ts'

export const push: CommandSpec = {
  name: 'push',
  description: "push all of a user's devices now; done when Apple accepts at least one",
  arguments: [['<user>']],
  options: { '--json': 'one JSON object a line, for each device' },
  async run(config, { json }, name) {
    const user = canonicalUser(name, config.users)
    const log = stderrLog()
    const transport = new Transport(loadCredentials(config.apns, config.harakaDir), config.apns, log)
    const tell = json ? printJson : printWords
    let accepted = 0
    await withExistingStore(config, async store => {
      const settler = new Settler(store, log)
      for (const device of await livingDevices(store, user, config.users.recipientDelimiter, tell)) {
        const startedAt = Date.now()
        const verdict = await transport.push(device)
        // That answer is the end of the transport, not Apple's.
        if (interruption()) return
        tell({ user, device, verdict, advice: adviceOn(verdict, device, transport) })
        if (verdict.kind === 'sent') accepted += 1
        await settler.settle({ user, device }, verdict, startedAt)
      }
    }).finally(() => transport.close())
    if (accepted === 0) throw new Failure(`${user}: Apple accepted none`)
  },
}

/** What became of one device: Apple's verdict, or none where it was not pushed. */
interface Result {
  readonly user: string
  readonly device: Device
  readonly verdict?: Verdict
  /** What follows, and what can be done. */
  readonly advice?: string | undefined
}

/** The devices to push, after `tell` has had the others. Rejects with Failure where the user has none. */
async function livingDevices(
  store: DeviceStore,
  user: string,
  delimiters: string,
  tell: (result: Result) => void,
): Promise<readonly Device[]> {
  const devices = await store.devices(user)
  if (devices.length === 0)
    throw new Failure(noDevice(user, await nearNames(store, user, delimiters), 'xaps push'))
  const now = Date.now()
  const left = devices.filter(device => isSuperseded(device, devices, now))
  for (const device of left) tell({ user, device })
  return devices.filter(device => !left.includes(device))
}

/** What an answer means to the phone and to the operator, where Apple's advice on credentials does not say it. */
const ADVICE: Readonly<Partial<Record<VerdictKind, string>>> = {
  gone: 'the phone has left this account; it registers again when mail is switched off and on there',
  'refused token':
    'no phone of this environment has the token: production or sandbox, [apns] environment must be that of the phones',
  'later device': 'Apple has had too many pushes for this phone; it takes some again in a while',
  'later push': 'Apple has a fault of its own; pushes for mail are tried again by themselves',
  'later all': 'Apple takes none of our pushes for now; pushes for mail are tried again by themselves',
  'broken stream': 'the push was lost on its way; pushes for mail are tried again by themselves',
  'broken connection':
    'Apple cannot be reached from here: is TCP port 443 open to the outside? `xaps check` tries it, too',
}

function adviceOn(verdict: Verdict, { topic }: Device, { credentials }: Transport): string | undefined {
  if (verdict.kind === 'refused device')
    return `the phone listens to ${topic}, and the credentials are for ${credentials.topic}; it registers for that within a day`
  return adviceFor(verdict, credentials.auth.kind) ?? ADVICE[verdict.kind]
}

function printWords({ device, verdict, advice }: Result): void {
  const token = `${maskToken(device.token)}  `
  if (!verdict) return print(token, warn(`not pushed: ${SUPERSEDED}`))
  const style = verdict.kind === 'sent' ? ok : consequenceOf(verdict).check === 'FAIL' ? fail : warn
  print(token, style(inWords(verdict)), ...(verdict.id ? [dim(`  apns-id ${verdict.id}`)] : []))
  if (advice) print(' '.repeat(token.length), dim(advice))
}

function printJson({ user, device, verdict, advice }: Result): void {
  const { account, token } = device
  const { kind, reason, since, id }: Omit<Verdict, 'kind'> & { kind: string } = verdict ?? {
    kind: 'superseded',
    reason: SUPERSEDED,
  }
  print(
    JSON.stringify({
      user,
      account,
      token: maskToken(token),
      result: kind,
      ...(reason !== '' && { reason }),
      ...(since !== undefined && { since: new Date(since).toISOString() }),
      ...(id && { apnsId: id }),
      ...(advice && { advice }),
    }),
  )
}
