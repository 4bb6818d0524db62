/** The common ground of all commands: how one is described, the configuration, the store, a place to print, a way to fail. */

import { existsSync } from 'node:fs'
import path from 'node:path'
import { stderrLog } from '../base/log.ts'
import { type Config, configFile, loadConfig } from '../config/config.ts'
import { NO_STORE } from '../device/open.ts'
import { type DeviceStore, NoStoreYet } from '../device/store.ts'
import { openDeviceStore } from '../service.ts'
import { untilInterrupted } from './interruption.ts'
import { lineOn, type Text } from './style.ts'

/** One command, for main.ts to hand to commander. */
export interface CommandSpec {
  readonly name: string
  readonly description: string
  /** Each argument as commander writes it, `<user>` or `[user]`, and what it means where that is not plain. */
  readonly arguments?: readonly (readonly [name: string, description?: string])[]
  /** Options as commander writes them, with what they mean. */
  readonly options?: Readonly<Record<string, string>>
  /** Rejects with what main.ts prints before exit status 1. An argument is missing only where it may be. */
  run(config: Config, options: Options, ...args: string[]): Promise<void>
}

/** The options of all commands. */
export interface Options {
  readonly account?: string
  readonly dryRun?: true
  readonly full?: true
  readonly json?: true
  readonly offline?: true
  readonly token?: string
}

/** Ends the command with exit status 1 and this one line. */
export class Failure extends Error {
  override name = 'Failure'
}

/** Debian's place for Haraka. */
const SYSTEM_DIR = '/etc/haraka'

/**
 * The configuration in the directory given to `haraka -c`: option -c, else the environment's HARAKA, else the current
 * directory when it holds config/xaps.ini, else /etc/haraka. Throws ConfigError, and Failure for a directory that is not
 * Haraka's.
 */
export function configOf(option: string | undefined): Config {
  const here = process.cwd()
  const dir = path.resolve(
    (option ?? process.env.HARAKA) || (existsSync(configFile(here)) ? here : SYSTEM_DIR),
  )
  if (!existsSync(path.join(dir, 'config'))) {
    throw new Failure(
      `${dir}: no Haraka directory (no config/ in it); name the one given to haraka -c with -c DIR`,
    )
  }
  return loadConfig(dir)
}

/**
 * Runs `work` with the store open, and closes it whatever happens, Ctrl-C included. Where there is no store one is made, or it rejects with
 * NoStoreYet when one `mustExist`.
 */
export async function withStore<T>(
  config: Config,
  work: (store: DeviceStore) => Promise<T>,
  options: { readonly mustExist?: boolean } = {},
): Promise<T> {
  const store = await openDeviceStore(config, stderrLog(), options)
  try {
    return await untilInterrupted(() => work(store))
  } finally {
    await store.close()
  }
}

/** The same for commands that make no store: one that is not there has no devices, and a line on standard error says so. */
export async function withExistingStore<T>(
  config: Config,
  work: (store: DeviceStore) => Promise<T>,
): Promise<T> {
  try {
    return await withStore(config, work, { mustExist: true })
  } catch (error) {
    if (!(error instanceof NoStoreYet)) throw error
    process.stderr.write(`xaps: ${error.message}\n`)
    return work(NO_STORE)
  }
}

/**
 * A line to standard output, of texts and styled texts. Names come from phones and files: characters that could steer a
 * terminal are made visible.
 */
export function print(...parts: readonly Text[]): void {
  process.stdout.write(`${lineOn(process.stdout, parts)}\n`)
}
