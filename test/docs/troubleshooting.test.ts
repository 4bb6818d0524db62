/** docs/troubleshooting.md against real installations that are broken: each answer on the page comes, and each fault has its answer. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { BREAKAGES, CHANGED, startInstallation } from './breakages.ts'

const ROOT = path.join(__dirname, '../../..')
const PAGE = readFileSync(path.join(ROOT, 'docs/troubleshooting.md'), 'utf8')

/** An answer as the page has it, in which `…` stands for anything, and the words of the command. */
interface Answer {
  readonly command: string
  readonly text: string
}

/** The blocks that begin with `$ xaps`, and the table below a heading that begins with a command. */
function answersOn(page: string): Answer[] {
  const blocks = [...page.matchAll(/^```\n\$ xaps (\w+).*\n([^`]+)^```/gm)]
  const inBlocks = blocks.flatMap(([, command = '', lines = '']) =>
    lines
      .trim()
      .split('\n')
      .map(text => ({ command, text })),
  )
  const [, table = ''] = /^## `xaps check` says …\n(.*?)^## /ms.exec(page) ?? []
  const inTable = [...table.matchAll(/^\| `([^`]+)` \|/gm)].map(([, text = '']) => ({
    command: 'check',
    text,
  }))
  return [...inBlocks, ...inTable]
}

function isAnswer({ text }: Answer, line: string): boolean {
  const parts = text
    .split(/\s*…\s*/)
    .map(part => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\s+/g, '\\s+'))
  return new RegExp(`^${parts.join('.*')}$`).test(line)
}

const ANSWERS = answersOn(PAGE)
const seen = new Set<Answer>()

for (const [what, { skip = false, command = ['check'], before, breakIt }] of Object.entries(BREAKAGES))
  test(`${what}: \`xaps ${command.join(' ')}\` answers as the page has it`, { skip }, async t => {
    const prepared = await before?.(t)
    const here = await startInstallation(t, prepared?.sections)
    await (prepared ?? { breakIt: () => breakIt?.(here, t) }).breakIt()
    const { stdout, stderr } = await here.xaps(...command)
    const said = `${stdout}${stderr}`.split('\n')
    const lines = said.filter(line => what === CHANGED || !/works with another configuration/.test(line))
    const given = ANSWERS.filter(
      answer => answer.command === command[0] && lines.some(line => isAnswer(answer, line)),
    )
    for (const answer of given) seen.add(answer)
    assert.ok(given.length > 0, `${stdout}${stderr}`)
  })

test('each answer on the page has come', {
  skip: Object.values(BREAKAGES).some(({ skip }) => skip) && 'not run: not all was tried',
}, () => {
  assert.deepEqual(
    ANSWERS.filter(answer => !seen.has(answer)),
    [],
  )
})

test('the sentences of the status page are its own', () => {
  const sources = ['health.ts', 'page/xaps.js'].map(file =>
    readFileSync(path.join(ROOT, 'plugins/xaps/observe', file), 'utf8'),
  )
  const [, table = ''] = /^## The status page says …\n(.*?)^## /ms.exec(PAGE) ?? []
  const sentences = [...table.matchAll(/^\| `([^`]+)` \|/gm)].map(([, text = '']) => text.replaceAll('…', ''))
  assert.ok(sentences.length > 5)
  for (const sentence of sentences)
    assert.ok(
      sources.some(source => source.includes(sentence)),
      sentence,
    )
})
