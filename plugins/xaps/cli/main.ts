#!/usr/bin/env node
/** The command `xaps`. Exit status: 0 done, 1 failed, 2 misused. */

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { Command, CommanderError } from 'commander'
import { reasonOf, visible } from '../base/log.ts'
import { addCheck } from './check.ts'
import { addDevices, addExport } from './devices.ts'
import { addExplain } from './explain.ts'
import { addForget } from './forget.ts'
import { addImport } from './import.ts'
import { addPush } from './push.ts'
import { addServe } from './serve.ts'
import { addStatus } from './status.ts'

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
    .version(version())
    .option('-c, --configs <dir>', "Haraka's directory, as given to haraka -c")
    .addHelpText('after', EXAMPLES)
    .exitOverride()
    // Commander quotes the arguments; its own lines end where it ended them.
    .configureOutput({ outputError: (text, write) => write(text.split('\n').map(visible).join('\n')) })
    .configureHelp({ showGlobalOptions: true })
  for (const add of [
    addServe,
    addDevices,
    addForget,
    addPush,
    addCheck,
    addExplain,
    addImport,
    addExport,
    addStatus,
  ]) {
    add(xaps)
  }
  for (const command of xaps.commands) command.copyInheritedSettings(xaps)
  return xaps
}

function version(): string {
  const file = path.join(__dirname, '..', '..', '..', '..', 'package.json')
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
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
