#!/usr/bin/env node
/** The command `xaps`. Exit status: 0 done, 1 failed, 2 misused. */

import { Command, CommanderError } from 'commander'
import { reasonOf, visible } from '../base/log.ts'
import { packageVersion } from '../base/version.ts'
import { check } from './check.ts'
import { type CommandSpec, configOf, type Options } from './context.ts'
import { copy } from './copy.ts'
import { devices, exportDevices } from './devices.ts'
import { explain } from './explain.ts'
import { forgetDevices } from './forget.ts'
import { importDevices } from './import.ts'
import { push } from './push.ts'
import { serve } from './serve.ts'
import { status } from './status.ts'

const COMMANDS: readonly CommandSpec[] = [
  serve,
  devices,
  forgetDevices,
  push,
  check,
  explain,
  importDevices,
  exportDevices,
  copy,
  status,
]

const EXAMPLES = `
Examples:
  $ xaps -c /etc/haraka check             what is configured, and does Apple accept it?
  $ xaps devices alice@example.org        which phones has she registered?
  $ xaps push alice@example.org           push them now
  $ xaps forget alice@example.org         forget them; they come back within a day
  $ xaps explain alice+shop@example.org   whose phones hear of mail to this address?
`

function program(): Command {
  const xaps = new Command('xaps')
    .description('Push email for Apple Mail on Haraka and Dovecot.')
    .version(packageVersion())
    .option('-c, --configs <dir>', "Haraka's directory, as given to haraka -c")
    .addHelpText('after', EXAMPLES)
    .exitOverride()
    // Commander quotes the arguments; its own lines end where it ended them.
    .configureOutput({ outputError: (text, write) => write(text.split('\n').map(visible).join('\n')) })
    .configureHelp({ showGlobalOptions: true })
  for (const spec of COMMANDS) addCommand(xaps, spec)
  return xaps
}

function addCommand(xaps: Command, spec: CommandSpec): void {
  const { name, description, options = {}, run } = spec
  const command = xaps.command(name).description(description)
  for (const argument of spec.arguments ?? []) command.argument(...argument)
  for (const [flags, meaning] of Object.entries(options)) command.option(flags, meaning)
  command.action(async () => {
    const { configs, ...given } = command.optsWithGlobals<Options & { configs?: string }>()
    await run(configOf(configs), given, ...command.processedArgs)
  })
}

async function main(): Promise<number> {
  try {
    await program().parseAsync()
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    process.stderr.write(`xaps: ${visible(reasonOf(error))}\n`)
    return 1
  }
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
void main().then(status => {
  process.exitCode = status
})
