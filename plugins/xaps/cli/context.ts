/** The common ground of all commands: the Haraka directory, the configuration, a place to print, a way to fail. */

import { existsSync } from 'node:fs'
import path from 'node:path'
import type { Command } from 'commander'
import { stderrLog, visible } from '../base/log.ts'
import { type Config, configFile, loadConfig } from '../config/config.ts'
import { NO_STORE } from '../device/open.ts'
import { type DeviceStore, NoStoreYet } from '../device/store.ts'
import { openDeviceStore } from '../service.ts'

/** Ends the command with exit status 1 and this one line. */
export class Failure extends Error {
  override name = 'Failure'
}

/** Debian's place for Haraka. */
const SYSTEM_DIR = '/etc/haraka'

/**
 * The directory given to `haraka -c`: option -c, else the environment's HARAKA, else the current directory when it
 * holds config/xaps.ini, else /etc/haraka.
 */
export function harakaDirectory(option: string | undefined, env = process.env, cwd = process.cwd()): string {
  const named = option ?? env.HARAKA
  if (named) return path.resolve(cwd, named)
  return existsSync(configFile(cwd)) ? cwd : SYSTEM_DIR
}

/** The configuration for a command. Throws ConfigError, and Failure for a directory that is not Haraka's. */
export function configOf(command: Command): Config {
  const dir = harakaDirectory(command.optsWithGlobals<{ configs?: string }>().configs)
  if (!existsSync(path.join(dir, 'config'))) {
    throw new Failure(
      `${dir}: no Haraka directory (no config/ in it); name the one given to haraka -c with -c DIR`,
    )
  }
  return loadConfig(dir)
}

/** Runs `work` with the store open, which is made where there is none, and closes it whatever happens. */
export async function withStore<T>(config: Config, work: (store: DeviceStore) => Promise<T>): Promise<T> {
  return closing(await openDeviceStore(config, stderrLog()), work)
}

/** The same for commands that make no store: where there is none yet, `ifNone` is run instead. */
export async function withExistingStore<T>(
  config: Config,
  work: (store: DeviceStore) => Promise<T>,
  ifNone: (reason: string) => Promise<T> = reason => withNone(reason, work),
): Promise<T> {
  const store = await openDeviceStore(config, stderrLog(), { mustExist: true }).catch((error: unknown) => {
    if (error instanceof NoStoreYet) return error
    throw error
  })
  return store instanceof NoStoreYet ? ifNone(store.message) : closing(store, work)
}

/** A store that is not there has no devices; a line on standard error says why. */
function withNone<T>(reason: string, work: (store: DeviceStore) => Promise<T>): Promise<T> {
  process.stderr.write(`xaps: ${reason}\n`)
  return work(NO_STORE)
}

async function closing<T>(store: DeviceStore, work: (store: DeviceStore) => Promise<T>): Promise<T> {
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

/** A line to standard output. Names come from phones and files: characters that could steer a terminal are made visible. */
export function print(line: string): void {
  process.stdout.write(`${visible(line)}\n`)
}
