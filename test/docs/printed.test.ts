/** The configuration on README and the pages of installation is read by its readers: our parser, Dovecot, the package. */

import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { parseConfig } from '../../plugins/xaps/config/config.ts'
import { run } from '../e2e/run.ts'
import { missingDovecot } from '../support/dovecot.ts'
import { type Dialect, dialectOf } from '../support/dovecot-conf.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'

const ROOT = path.join(__dirname, '../../..')
const PAGES = ['README.md', 'docs/install.md', 'docs/without-haraka.md', 'docs/several-hosts.md']
const read = (page: string) => readFileSync(path.join(ROOT, page), 'utf8')

/** The blocks of a language on a page. */
function blocks(page: string, language: string): string[] {
  const fenced = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms')
  return [...read(page).matchAll(fenced)].map(([, block = '']) => block)
}

/** A piece as a whole dovecot.conf. 2.4 knows no settings of plugins that it does not have. */
function completed(block: string, dialect: Dialect): string {
  if (dialect === '2.3') return block
  return `dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n${block.replace(/^xaps_url = .*\n/m, '')}`
}

/** The lines that Dovecot prints as they are; it puts in the value of a variable. */
function settingsOf(conf: string): string[] {
  const lines = conf.split('\n').map(line => line.trim())
  return lines.filter(line => / = /.test(line) && !line.includes('$'))
}

test('no page has the traces of a merge', () => {
  for (const page of [...PAGES, ...readdirSync(path.join(ROOT, 'docs')).map(name => `docs/${name}`)])
    assert.doesNotMatch(read(page), /^(?:<{7}|={7}|>{7})/m, page)
})

for (const page of PAGES) {
  test(`${page}: every piece of xaps.ini is one`, () => {
    assert.ok(blocks(page, 'ini').length > 0)
    for (const block of blocks(page, 'ini')) assert.doesNotThrow(() => parseConfig(block, '/'), block)
  })

  test(`${page}: Dovecot takes every piece of its configuration, and none of the other dialect`, {
    skip: missingDovecot(),
  }, async t => {
    const temp = owned(t, tempDirectory())
    const dialect = dialectOf((await run('dovecot', ['--version'])).stdout)
    const doveconf = (block: string) => {
      const file = path.join(temp.path, 'dovecot.conf')
      writeFileSync(file, completed(block, dialect))
      return run('doveconf', ['-n', '-c', file])
    }
    const pieces = (of: Dialect) => blocks(page, `dovecot-${of}`)
    assert.ok(pieces('2.3').length > 0 && pieces('2.4').length > 0)
    for (const block of [...pieces(dialect), ...blocks(page, 'dovecot')]) {
      const { status, stdout, stderr } = await doveconf(block)
      assert.deepEqual([status, stderr], [0, ''], block)
      const printed = stdout.split('\n').map(line => line.trim())
      for (const setting of settingsOf(completed(block, dialect)))
        assert.ok(printed.includes(setting), `${setting}\n${stdout}`)
    }
    for (const block of pieces(dialect === '2.3' ? '2.4' : '2.3'))
      assert.notEqual((await doveconf(block)).status, 0, block)
  })

  test(`${page}: plugin and companion are told the same address, which no name service decides`, () => {
    const addresses = read(page).match(/[\w.:[\]]+:11619/g) ?? []
    assert.deepEqual([...new Set(addresses)], ['127.0.0.1:11619'])
  })

  test(`${page}: files of the package that it names are there`, () => {
    const named = [...read(page).matchAll(/\b(?:contrib|config)\/[\w/]+\.\w+/g)].map(([name]) => name)
    const ours = named.filter(name => /^contrib|xaps\.ini$/.test(name))
    assert.ok(ours.length > 0)
    for (const name of ours) assert.ok(existsSync(path.join(ROOT, name)), name)
  })
}

/** As GitHub makes it of a heading: letters, digits, hyphens and underscores stay, blanks become hyphens. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-')
}

function anchorsOn(page: string): string[] {
  return [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading))
}

test('each link from page to page leads to a page and a heading that are there', () => {
  const pages = [
    'README.md',
    ...readdirSync(path.join(ROOT, 'docs'))
      .filter(name => name.endsWith('.md'))
      .map(name => `docs/${name}`),
  ]
  for (const page of pages)
    for (const [, file = '', anchor] of read(page).matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)/g)) {
      const target = file === '' ? page : path.join(path.dirname(page), file)
      assert.ok(existsSync(path.join(ROOT, target)), `${page}: ${file}`)
      if (anchor !== undefined) assert.ok(anchorsOn(target).includes(anchor), `${page}: ${file}#${anchor}`)
    }
})
