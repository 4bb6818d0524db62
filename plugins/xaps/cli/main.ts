#!/usr/bin/env node
/** The command `xaps`. Exit status: 0 done, 1 failed, 2 misused. */

import { Argument, Command, CommanderError } from 'commander'
import { reasonOf, visible } from '../base/log.ts'
import { packageVersion } from '../base/version.ts'
import { check } from './check.ts'
import { completion, SHELLS, type Shell } from './completion.ts'
import { type CommandSpec, configOf, type Options } from './context.ts'
import { copy } from './copy.ts'
import { devices, exportDevices } from './devices.ts'
import { explain } from './explain.ts'
import { forgetDevices } from './forget.ts'
import { importDevices } from './import.ts'
import { endBy, Interrupted, interruption } from './interruption.ts'
import { manPage } from './man.ts'
import { isReaderGone, watchOutput } from './output.ts'
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

const EXAMPLES = [
  ['xaps -c /etc/haraka check', 'what is configured, and does Apple accept it?'],
  ['xaps devices alice@example.org', 'which phones has she registered?'],
  ['xaps push alice@example.org', 'push them now'],
  ['xaps forget alice@example.org', 'forget them; they come back within a day'],
  ['xaps explain alice+shop@example.org', 'whose phones hear of mail to this address?'],
] as const

const EXAMPLES_HELP = `
Examples:
${EXAMPLES.map(([command, meaning]) => `  $ ${command.padEnd(37)} ${meaning}`).join('\n')}
`

function program(): Command {
  const xaps = new Command('xaps')
    .description('Push email for Apple Mail on Haraka and Dovecot.')
    .version(packageVersion())
    .option('-c, --configs <dir>', "Haraka's directory, as given to haraka -c")
    .addHelpText('after', EXAMPLES_HELP)
    .exitOverride()
    // Commander quotes the arguments; its own lines end where it ended them.
    .configureOutput({ outputError: (text, write) => write(text.split('\n').map(visible).join('\n')) })
    .configureHelp({ showGlobalOptions: true })
  for (const spec of COMMANDS) addCommand(xaps, spec)
  addTexts(xaps)
  return xaps
}

/** Commands that need no configuration: they print texts about the others. */
function addTexts(xaps: Command): void {
  xaps
    .command('completion')
    .description('print a script with which a shell completes commands and options')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action((shell: Shell) => void process.stdout.write(completion(xaps, shell)))
  xaps
    .command('man')
    .description('print the manual page, for man -l -')
    .action(() => void process.stdout.write(manPage(xaps, packageVersion(), EXAMPLES)))
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

/** The exit status. After an interruption the process ends by the signal instead. */
async function main(): Promise<number> {
  const outputFailure = watchOutput()
  try {
    await program().parseAsync()
    const failure = interruption() ?? (await outputFailure())
    if (failure) throw failure
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (error instanceof Interrupted) return endBy(error)
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    if (isReaderGone(error)) return Number(process.exitCode ?? 0)
    process.stderr.write(`xaps: ${visible(reasonOf(error))}\n`)
    return 1
  }
}

void main().then(status => {
  process.exitCode = status
})
