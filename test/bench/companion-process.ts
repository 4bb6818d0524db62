/** `xaps serve` as an operator runs it, for a site. */

import path from 'node:path'
import { type ServerProcess, startServer } from '../support/server.ts'

export const XAPS = path.join(__dirname, '..', '..', 'plugins', 'xaps', 'cli', 'main.js')

/** Starts it and resolves when it says that it is ready. `flags` are Node's. */
export async function startCompanion(dir: string, flags: readonly string[] = []): Promise<ServerProcess> {
  const companion = startServer(process.execPath, [...flags, XAPS, '-c', dir, 'serve'])
  await companion.waitForOutput(/companion ready/)
  return companion
}

/** Node's flags for a CPU profile, when one is wanted. */
export function profiling(directory: string | undefined): string[] {
  return directory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${directory}`]
}
