/** The scripts for shells, in real shells, and the manual page, read by the programs that show it. */

import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { run, xaps } from '../e2e/run.ts'
import { missing } from '../support/need.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'

/** A file with what `xaps WORDS…` prints. */
async function printed(t: TestContext, name: string, ...words: string[]): Promise<string> {
  const { status, stdout, stderr } = await xaps(words, { cwd: '/', env: { HARAKA: '/nowhere' } })
  assert.deepEqual([status, stderr], [0, ''])
  const file = path.join(owned(t, tempDirectory()).path, name)
  writeFileSync(file, stdout)
  return file
}

const COMPLETE = `
source "$0"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_xaps
printf '%s\\n' "\${COMPREPLY[@]}"`

test('bash completes commands, their options, files and directories', async t => {
  const script = await printed(t, 'xaps.bash', 'completion', 'bash')
  const { path: there } = owned(t, tempDirectory())
  mkdirSync(path.join(there, 'a directory'))
  writeFileSync(path.join(there, 'a file'), '')
  for (const [words, ...completed] of [
    [['de'], 'devices'],
    [['-c', '/etc', 'expl'], 'explain'],
    [['devices', '--'], '--json', '--full', '--help', '--version', '--configs'],
    [['devices', 'bob', '--j'], '--json'],
    [['devices', ''], ''],
    [['forget', '--account', ''], ''],
    [['completion', ''], 'bash', 'zsh'],
    [['help', 'pu'], 'push'],
    [['import', `${there}/a`], `${there}/a directory`, `${there}/a file`],
    [['-c', `${there}/a`], `${there}/a directory`],
    [['no-such-command', ''], ''],
  ] as const) {
    const { stdout, stderr } = await run('bash', ['-c', COMPLETE, script, 'xaps', ...words])
    assert.equal(stderr, '')
    assert.deepEqual(stdout.slice(0, -1).split('\n').sort(), [...completed].sort(), words.join(' '))
  }
  const commands = (await run('bash', ['-c', COMPLETE, script, 'xaps', ''])).stdout.trim().split('\n')
  for (const command of ['serve', 'devices', 'check', 'man', 'help']) assert.ok(commands.includes(command))
})

/** An interactive zsh at a pseudo-terminal, where `xaps WORDS<Tab>` is typed; prints what its line becomes. */
const ZSH = `
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1='> '; autoload -U compinit; compinit -D -u; source $1; print re''ady"
zpty -r -m z seen '*ready*'
zpty -w -n z "$2"$'\\t'
zpty -r -m z seen "*$3*" && print -r -- "$3"`

test('zsh completes commands and options', { skip: missing('zsh') }, async t => {
  const script = await printed(t, '_xaps', 'completion', 'zsh')
  assert.deepEqual(await run('zsh', ['-n', script]), { status: 0, stdout: '', stderr: '' })
  for (const [typed, becomes] of [
    ['xaps dev', 'devices'],
    ['xaps devices --fu', '--full'],
    ['xaps -c /etc completion z', 'zsh'],
  ] as const) {
    const { stdout } = await run('timeout', ['20', 'zsh', '-f', '-c', ZSH, 'zsh', script, typed, becomes])
    assert.equal(stdout, `${becomes}\n`, typed)
  }
})

test('the manual page is well-formed and has every command', { skip: missing('man', 'groff') }, async t => {
  const page = await printed(t, 'xaps.1', 'man')
  const formatted = await run('groff', ['-ww', '-z', '-man', page])
  assert.deepEqual(formatted, { status: 0, stdout: '', stderr: '' })
  const shown = await run('man', ['--warnings', '-Tutf8', '-l', page], { env: { LC_ALL: 'C.UTF-8' } })
  assert.deepEqual([shown.status, shown.stderr], [0, ''])
  // Bold is a character on itself.
  const plain = stripVTControlCharacters(shown.stdout).replace(/.[\b]/g, '')
  const { stdout: help } = await xaps(['--help'])
  const commands = [...help.matchAll(/^ {2}([a-z]+) /gm)].map(([, command]) => command)
  assert.ok(commands.length > 10, help)
  for (const command of commands) assert.match(plain, new RegExp(`^ {7}${command}\\b`, 'm'))
  for (const title of ['DESCRIPTION', 'EXIT STATUS', 'ENVIRONMENT', 'FILES', 'SEE ALSO'])
    assert.match(plain, new RegExp(`^${title}$`, 'm'))
})
