/** The manual page xaps(1), in man(7)'s macros: commands and options from the same tree as the help. */

import type { Command, Option } from 'commander'
import { commandsOf, optionsOf } from './completion.ts'

type Pairs = readonly (readonly [term: string, meaning: string])[]

const EXIT_STATUS: Pairs = [
  ['0', 'Done. Also when the reader of a pipe, such as head, has read enough.'],
  ['1', 'Failed: a line on standard error says why.'],
  ['2', 'Misused: an unknown command or option, an argument too many or missing.'],
  ['130', 'In a shell: ended by Ctrl-C (128 and the number of the signal). An open store has been closed.'],
]

const ENVIRONMENT: Pairs = [
  ['HARAKA', "Haraka's directory, where -c does not name it."],
  ['NO_COLOR', 'Set to anything: no colours. There are none either where the output is no terminal.'],
  ['FORCE_COLOR', 'Set to 1: colours also where the output is no terminal.'],
  ['XAPS_DEBUG', 'Set to anything: messages of level debug, too, on standard error.'],
]

const FILES: Pairs = [
  ['DIR/config/xaps.ini', 'The configuration; the file has every key with its default.'],
  ['DIR/config/smtp.ini', "Haraka's: the user and group to whom the state belongs."],
  ['DIR/xaps', 'The device store, unless [store] uri names another.'],
  ['/var/run/dovecot/xapsd.sock', "The companion's socket, unless [registration] socket names another."],
]

const DESCRIPTION = `xaps lists, pushes and forgets the devices that Apple Mail has registered with Dovecot, and checks whether push works.
DIR, Haraka's directory, is the one given to haraka -c. Without -c it is that of the environment's HARAKA, then the
current directory when it holds config/xaps.ini, then /etc/haraka. Options stand before or after the command.`

/** The page, without a date, so that the same version makes the same page. */
export function manPage(program: Command, version: string, examples: Pairs): string {
  const name = program.name()
  return `${[
    `.TH ${name.toUpperCase()} 1 "" ${argument(`${name} ${version}`)} "Haraka and Dovecot"`,
    section('NAME', [`${roff(name)} \\- ${roff(program.description().replace(/\.$/, ''))}`]),
    section('SYNOPSIS', [
      `.B ${name}`,
      `[\\-c ${italic('DIR')}] ${italic('COMMAND')} [${italic('ARGUMENTS')}]`,
    ]),
    section('DESCRIPTION', DESCRIPTION.split('\n').map(roff)),
    section('COMMANDS', commandsOf(program).flatMap(commandLines)),
    section('OPTIONS', optionsOf(program).flatMap(optionLines)),
    section('EXIT STATUS', EXIT_STATUS.flatMap(pairLines)),
    section('ENVIRONMENT', ENVIRONMENT.flatMap(pairLines)),
    section('FILES', FILES.flatMap(pairLines)),
    section('EXAMPLES', examples.flatMap(pairLines)),
    section('SEE ALSO', [
      '.BR doveconf (1),',
      '.BR doveadm (1)',
      '.PP',
      roff('The directory docs of the package.'),
    ]),
  ].join('\n')}\n`
}

function section(title: string, lines: readonly string[]): string {
  return [`.SH ${argument(title)}`, ...lines].join('\n')
}

/** A command: how it is used, what it does, its arguments that need a word, its options. */
function commandLines(command: Command): string[] {
  const takes = command.registeredArguments.map(item =>
    item.required ? `<${item.name()}>` : `[${item.name()}]`,
  )
  const explained = command.registeredArguments.filter(({ description }) => description)
  const items = [
    ...explained.flatMap(item => pairLines([item.name(), sentence(item.description)])),
    ...optionsOf(command)
      .filter(({ long }) => long !== '--help')
      .flatMap(optionLines),
  ]
  const usage = [command.name(), ...takes].join(' ')
  const nested = items.length > 0 ? ['.RS', ...items, '.RE'] : []
  return [...pairLines([usage, sentence(command.description())]), ...nested]
}

function optionLines({ flags, description }: Option): string[] {
  return pairLines([flags, sentence(description)])
}

function pairLines([term, meaning]: Pairs[number]): string[] {
  return ['.TP', `.B ${argument(term)}`, roff(meaning)]
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?]$/.test(text) ? '' : '.'}`
}

const italic = (text: string) => `\\fI${roff(text)}\\fR`

/** Text in which nothing is a request: hyphens that can be copied, no escape, no control character at the start of a line. */
function roff(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll("'", '\\(aq').replace(/^\./gm, '\\&.')
}

/** One argument of a request. */
function argument(text: string): string {
  return `"${roff(text).replaceAll('"', '\\(dq')}"`
}
