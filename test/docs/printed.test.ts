/** The configuration on README and docs/install.md is read by its readers: our parser, Dovecot, the package. */

import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { parseConfig } from '../../plugins/xaps/config/config.ts'
import { run } from '../e2e/run.ts'
import { missingDovecot } from '../support/dovecot.ts'
import { dialectOf } from '../support/dovecot-conf.ts'
import { owned } from '../support/owned.ts'
import { tempDirectory } from '../support/temp.ts'

const ROOT = path.join(__dirname, '../../..')
const PAGES = ['README.md', 'docs/install.md']
const read = (page: string) => readFileSync(path.join(ROOT, page), 'utf8')

/** The blocks of a language on a page. */
function blocks(page: string, language: string): string[] {
  const fenced = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms')
  return [...read(page).matchAll(fenced)].map(([, block = '']) => block)
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

  test(`${page}: Dovecot 2.3 takes every piece of its configuration`, { skip: missingDovecot() }, async t => {
    const temp = owned(t, tempDirectory())
    const found = blocks(page, 'dovecot')
    assert.ok(found.length > 0)
    const is23 = dialectOf((await run('dovecot', ['--version'])).stdout) === '2.3'
    for (const [index, block] of found.entries()) {
      const file = path.join(temp.path, `${index}.conf`)
      writeFileSync(file, block)
      const { status, stdout, stderr } = await run('doveconf', ['-n', '-c', file])
      // 2.4 has another language, and must not take it for its own.
      if (is23)
        assert.deepEqual([status, stderr, stdout.includes('push_notification_driver = xaps')], [0, '', true])
      else assert.notEqual(status, 0)
    }
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
