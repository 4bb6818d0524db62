/** Every `xaps …` on README and the pages, in blocks and in sentences, is one that the command takes; those that only look are run. */

import assert from 'node:assert/strict'
import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { xaps } from '../e2e/run.ts'
import { makeDirectory } from '../e2e/setup.ts'
import { ALICE, startInstallation } from './breakages.ts'

const ROOT = path.join(__dirname, '../../..')
const PAGES = ['README.md', ...readdirSync(path.join(ROOT, 'docs')).map(name => `docs/${name}`)]

const FENCED = /^```(\S*)\n(.*?)^```$/gms

/** A command at the beginning of a line or after what a shell has before one, up to what a shell takes for itself. */
const COMMAND = /(?:^|[|(;&]) *(?:\$ )?(?:npx |\S*\/)?xaps (?=[-[\w])([^|<>;&()`#]*)/g

/** Options that README's list names behind the description. */
const OPTIONS = /\((--\w[^)]*)\)/

interface Example {
  readonly page: string
  readonly words: readonly string[]
  /** It stands in a sentence. */
  readonly isInProse: boolean
}

/** Without the directory. `[USER]` may be given, and is. A description stands two blanks off. */
function wordsIn(line: string): readonly (readonly string[])[] {
  const options = OPTIONS.exec(line)?.[1]?.replaceAll(',', '') ?? ''
  return [...line.matchAll(COMMAND)].map(([, found = '']) => {
    const [command = ''] = found.replace(/\[?-c \S+/, '').match(/\S.*?(?= {2}|$)/) ?? []
    return `${command} ${options}`.replace(/[[\]]/g, '').trim().split(/ +/)
  })
}

function examplesOn(page: string): Example[] {
  const text = readFileSync(path.join(ROOT, page), 'utf8')
  const fenced = [...text.matchAll(FENCED)].filter(([, language]) => language === '' || language === 'sh')
  const lines = fenced.flatMap(([, , block = '']) => block.split('\n'))
  const spans = [...text.replace(FENCED, '').matchAll(/`([^`]*\bxaps [^`]+)`/g)]
  return [
    ...lines.flatMap(wordsIn).map(words => ({ page, words, isInProse: false })),
    ...spans
      .flatMap(([, span = '']) => wordsIn(span.replaceAll('\n', ' ')))
      .map(words => ({ page, words, isInProse: true })),
  ]
}

const ALL = PAGES.filter(page => page.endsWith('.md')).flatMap(examplesOn)

/** In a sentence a name alone means the command as such. */
const isName = ({ words: [word = ''], words, isInProse }: Example) =>
  isInProse && words.length === 1 && !word.startsWith('-')

/** Each once, by what is typed. */
const EXAMPLES = new Map(
  ALL.filter(example => !isName(example)).map(example => [`xaps ${example.words.join(' ')}`, example]),
)

/** The exit status of what commander does not take. */
const MISUSED = 2

/** With an xaps.ini that stops every command which the words have led to, before it does anything. */
const STOPS = /\[push\] stop = here/

test('the command takes every example', async t => {
  const { dir } = await makeDirectory(t)
  appendFileSync(path.join(dir, 'config', 'xaps.ini'), '\n[push]\nstop = here\n')
  assert.ok(EXAMPLES.size > 20)
  for (const [name, { page, words }] of EXAMPLES) {
    const { status, stderr } = await xaps(['-c', dir, ...words])
    assert.ok(status === 0 || (status === 1 && STOPS.test(stderr)), `${page}: ${name}: ${stderr}`)
  }
})

test('a name in a sentence is that of a command', async () => {
  const { stdout } = await xaps(['--help'])
  const names = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name)
  for (const { page, words } of ALL.filter(isName))
    assert.ok(names.includes(words[0]), `${page}: ${words[0]}`)
})

test('it takes no other command, option or number of words', async t => {
  const { dir } = await makeDirectory(t)
  for (const words of [['chekc'], ['check', '--ofline'], ['push'], ['explain', 'a@example.org', 'b']])
    assert.equal((await xaps(['-c', dir, ...words])).status, MISUSED, words.join(' '))
})

/** Of an installation they change nothing. */
const ONLY_LOOK = ['check', 'devices', 'explain', 'export', 'status', 'completion', 'man']

test('the examples that only look run in an installation in which a phone has registered', async t => {
  const here = await startInstallation(t)
  const looking = [...EXAMPLES].filter(([, example]) => ONLY_LOOK.includes(example.words[0] ?? ''))
  assert.deepEqual(new Set(looking.map(([, { words }]) => words[0])), new Set(ONLY_LOOK))
  for (const [name, { page, words }] of looking) {
    const { status, stdout, stderr } = await here.xaps(
      ...words.map(word => (/^(?:USER|ADDRESS|\S+@\S+)$/.test(word) ? ALICE.user : word)),
    )
    assert.equal(status, 0, `${page}: ${name}: ${stdout}${stderr}`)
    assert.notEqual(stdout, '', name)
  }
})
