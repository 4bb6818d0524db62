/**
 * Scripts with which bash and zsh complete the command: its commands and options, files and directories where they are
 * meant. Users' names are not completed: that would read the store at every key. Made of the same tree as the help.
 */

import type { Command, Option } from 'commander'

export const SHELLS = ['bash', 'zsh'] as const

export type Shell = (typeof SHELLS)[number]

/** The script for `shell`, of the commands below `program`. */
export function completion(program: Command, shell: Shell): string {
  return shell === 'bash' ? bash(program) : zsh(program)
}

/** The commands that the help lists, its own included. */
export function commandsOf(program: Command): readonly Command[] {
  return program.createHelp().visibleCommands(program)
}

/** The options that the help of `command` lists, the program's not included. */
export function optionsOf(command: Command): readonly Option[] {
  return command.createHelp().visibleOptions(command)
}

const flagsOf = ({ short, long }: Option): string[] => [short, long].filter(flag => flag !== undefined)

/** What an argument or the value of an option is, by its name in the help. */
function kindOf(name: string): 'directory' | 'file' | 'other' {
  if (/\bdir\b/i.test(name)) return 'directory'
  return /\bfile\b/i.test(name) ? 'file' : 'other'
}

function bash(program: Command): string {
  const commands = commandsOf(program)
  const all = [program, ...commands].flatMap(optionsOf).filter(({ required }) => required)
  const valued = [...new Set(all.flatMap(flagsOf))]
  const directories = all.filter(({ flags }) => kindOf(flags) === 'directory').flatMap(flagsOf)
  const common = optionsOf(program).flatMap(flagsOf)
  const names = commands.map(command => command.name()).join(' ')
  const cases = commands.map(command => {
    const [argument] = command.registeredArguments
    const flags = new Set([...optionsOf(command).flatMap(flagsOf), ...common])
    const words = command.name() === 'help' ? names : (argument?.argChoices?.join(' ') ?? '')
    const files = kindOf(argument?.name() ?? '') === 'file' ? ' files=yes' : ''
    return `    ${command.name()}) options='${[...flags].join(' ')}' words='${words}'${files} ;;`
  })
  return `# Completion of xaps for bash. To use it: source <(xaps completion bash)
_xaps() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local command='' options='${common.join(' ')}' words='${names}' files='' index
  COMPREPLY=()
  case $previous in
    ${directories.join(' | ')})
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$current")
      return
      ;;
    ${valued.filter(flag => !directories.includes(flag)).join(' | ')}) return ;;
  esac
  for ((index = 1; index < COMP_CWORD; index++)); do
    case \${COMP_WORDS[index]} in
      ${valued.join(' | ')}) ((index++)) ;;
      -*) ;;
      *)
        command=\${COMP_WORDS[index]}
        break
        ;;
    esac
  done
  case $command in
    '') ;;
${cases.join('\n')}
    *) words='' ;;
  esac
  if [[ $current == -* ]]; then
    words=$options
  elif [[ $files ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _xaps xaps
`
}

function zsh(program: Command): string {
  const commands = commandsOf(program)
  const common = optionsOf(program).map(zshOption)
  const described = commands.map(command => `    ${quoted(`${command.name()}:${command.description()}`)}`)
  const cases = commands.map(command => {
    const own = optionsOf(command).map(zshOption)
    const specs = [...new Set([...own, ...common]), ...command.registeredArguments.map(zshArgument)]
    return `        ${command.name()})
          _arguments \\
            ${specs.join(' \\\n            ')}
          ;;`
  })
  return `#compdef xaps
# Completion of xaps for zsh: a file _xaps in a directory of fpath, or source <(xaps completion zsh) after compinit.
_xaps() {
  local curcontext=$curcontext state line
  typeset -A opt_args
  local -a commands=(
${described.join('\n')}
  )
  _arguments -C \\
    ${common.join(' \\\n    ')} \\
    '1: :->command' \\
    '*:: :->rest'
  case $state in
    command) _describe command commands ;;
    rest)
      case $words[1] in
${cases.join('\n')}
      esac
      ;;
  esac
}
if [[ $funcstack[1] == _xaps ]]; then
  _xaps "$@"
else
  compdef _xaps xaps
fi
`
}

const ZSH_ACTIONS = { directory: '_files -/', file: '_files', other: ' ' } as const

function zshOption(option: Option): string {
  const flags = flagsOf(option)
  const meaning = `[${zshText(option.description)}]`
  const value = option.required
    ? `:${zshText(option.attributeName())}:${ZSH_ACTIONS[kindOf(option.flags)]}`
    : ''
  if (flags.length === 1) return quoted(`${flags[0]}${meaning}${value}`)
  return `'(${flags.join(' ')})'{${flags.join(',')}}${quoted(meaning + value)}`
}

function zshArgument(argument: Command['registeredArguments'][number]): string {
  const action = argument.argChoices
    ? `(${argument.argChoices.join(' ')})`
    : ZSH_ACTIONS[kindOf(argument.name())]
  return quoted(`:${zshText(argument.name())}:${action}`)
}

/** As _arguments takes it within a specification. */
function zshText(text: string): string {
  return text.replace(/[[\]:\\]/g, '\\$&')
}

/** As a shell takes it for one word. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
