/** `xaps serve`: the companion, as a service of its own or as Haraka's child. */

import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Config } from '../config/config.ts'
import { exposedSecrets } from '../config/secrets.ts'
import type { DeviceStore } from '../device/store.ts'
import { type Log, reasonOf } from '../log.ts'
import { type Credentials, loadCredentials } from '../push/credentials.ts'
import { announceExpiry } from '../push/renewal.ts'
import type { CompanionOptions } from '../registration/companion.ts'
import { endWithParent } from '../registration/life-line.ts'
import { makeSystemd } from '../registration/systemd.ts'
import {
  deferDeviceStore,
  GRACE_MS,
  openDeviceStore,
  openPushSide,
  openRegistrationSide,
} from '../service.ts'
import { stderrLog } from '../stderr-log.ts'
import { configOf } from './context.ts'

const STORE_PATIENCE_MS = 1_000

interface Options {
  readonly forHaraka?: true
  readonly socketFd?: number
  readonly socket: boolean
}

export function addServe(xaps: Command): void {
  xaps
    .command('serve')
    .description(
      "serve Dovecot's plugin; only where [registration] enabled = false, otherwise Haraka starts it",
    )
    .addOption(
      new Option('--for-haraka', 'standard input: credentials, then open as long as Haraka lives').hideHelp(),
    )
    .addOption(new Option('--socket-fd <fd>', 'the socket is open already').argParser(descriptor).hideHelp())
    .addOption(new Option('--no-socket', 'the socket cannot be opened yet').hideHelp())
    .addOption(new Option('--open-socket', 'open the socket, as without Haraka').hideHelp())
    .action((options: Options, command: Command) => serve(configOf(command), options, stderrLog()))
}

async function serve(config: Config, options: Options, log: Log): Promise<void> {
  // Of Haraka's child Haraka says it.
  const exposed = options.forHaraka ? [] : exposedSecrets(config, [process.getgid?.()])
  for (const warning of exposed) log.warn(warning)
  const credentials = options.forHaraka
    ? await credentialsFromHaraka()
    : loadCredentials(config.apns, config.harakaDir)
  const store = options.forHaraka ? deferDeviceStore(config, log) : await openDeviceStore(config, log)
  await announceStore(store, log)
  const push = openPushSide(config, credentials, store, log)
  const door: Pick<CompanionOptions, 'socketFd' | 'retry'> = {
    socketFd: options.socketFd,
    retry: options.forHaraka === true,
  }
  const letGo = async () => {
    await push.close(GRACE_MS)
    await store.close()
  }
  const companion = await openRegistrationSide(
    options.socket ? config : withoutSocket(config),
    push,
    store,
    door,
    log,
  ).catch(async (error: unknown) => {
    await letGo()
    throw error
  })
  const systemd = makeSystemd(log)
  announceExpiry(() => push.credentials(), log)
  log.notice('companion ready', { topic: credentials.topic })
  await systemd.ready()
  endOnSignals(options, async () => {
    await systemd.stopping()
    await companion.close()
    await letGo()
  })
}

function withoutSocket(config: Config): Config {
  return { ...config, registration: { ...config.registration, socket: '' } }
}

/** Haraka's first and only line: it may read files that the companion, as another user, may not. */
async function credentialsFromHaraka(): Promise<Credentials> {
  for await (const line of createInterface({ input: process.stdin })) {
    return (JSON.parse(line) as { credentials: Credentials }).credentials
  }
  throw new Error('Haraka ended before it told the credentials')
}

/**
 * Says what is wrong with the store. Resolves when the store is open, for the first registration has less time than
 * opening can take; but a store that is away does not keep the doors shut for longer than STORE_PATIENCE_MS.
 */
async function announceStore(store: DeviceStore, log: Log): Promise<void> {
  const announced = store.warnings().then(
    warnings => {
      for (const warning of warnings) log.warn(warning)
    },
    error => log.error('the device store does not answer', { cause: reasonOf(error) }),
  )
  await Promise.race([announced, sleep(STORE_PATIENCE_MS)])
}

function endOnSignals({ forHaraka }: Options, end: () => Promise<void>): void {
  const endOnce = once(end)
  const exit = () => void endOnce().finally(() => process.exit(0))
  process.once('SIGTERM', exit)
  process.once('SIGINT', exit)
  if (forHaraka) endWithParent(endOnce)
}

function once(work: () => Promise<void>): () => Promise<void> {
  let working: Promise<void> | undefined
  return () => {
    working ??= work()
    return working
  }
}

function descriptor(text: string): number {
  const fd = Number(text)
  if (!Number.isInteger(fd) || fd < 3) throw new InvalidArgumentError('expected a descriptor from 3 on')
  return fd
}
