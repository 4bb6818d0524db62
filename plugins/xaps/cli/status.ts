/** `xaps status`: is a companion there, and what does it say? Exit status 1 when none answers. */

import type { Command } from 'commander'
import { reasonOf } from '../base/log.ts'
import { pathIn } from '../config/config.ts'
import { askCompanion } from './companion.ts'
import { configOf, Failure, print } from './context.ts'

export function addStatus(xaps: Command): void {
  xaps
    .command('status')
    .description('ask the companion whether it serves')
    .option('--json', 'as one JSON object')
    .action(async ({ json }: { json?: true }, command: Command) => {
      const config = configOf(command)
      const socket = pathIn(config, config.registration.socket)
      const said = await askCompanion(socket).catch((error: unknown) => {
        throw new Failure(`no companion answers at ${socket}: ${reasonOf(error)}`)
      })
      print(json ? JSON.stringify({ socket, ...fieldsOf(said) }) : said)
    })
}

/** `up for 12 s, 3 pushes pending` has no fixed form; `key=value` words in it have. */
function fieldsOf(said: string): Record<string, string | number> {
  const pairs = [...said.matchAll(/(\w+)=(\S+)/g)]
  return Object.fromEntries(
    pairs.map(([, key = '', value = '']) => [key, /^\d+$/.test(value) ? Number(value) : value]),
  )
}
