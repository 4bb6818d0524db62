import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Mode } from '../../plugins/xaps/delivery/address.ts'
import { watchLocalDomains } from '../../plugins/xaps/delivery/local.ts'

function fakeConfig(files: Record<string, string[]>) {
  const watchers: Record<string, () => void> = {}
  return {
    files,
    changed: (file: string) => watchers[file]?.(),
    get(file: string, _type: 'list', changed: () => void) {
      watchers[file] = changed
      return files[file] ?? []
    },
  }
}

const errors: string[] = []
const log = { error: (message: string) => void errors.push(message) }
const lists = { host_list: ['Example.com'], host_list_regex: ['.*\\.example\\.net', 'mx\\d'] }

/** Settings of `domains`, the way of a mail, and hosts that are local then, and hosts that are not. */
const CASES: readonly (readonly [domains: string, mode: Mode, local: string[], foreign: string[]])[] = [
  ['host_list', 'LMTP', ['elsewhere.example', ''], []],
  [
    'host_list',
    'SMTP',
    ['example.com', 'a.example.net', 'mx1'],
    ['notexample.com', 'example.net', 'mx12', 'amx1', ''],
  ],
  ['*', 'SMTP', ['any.example'], ['']],
  ['Other.Example,host_list', 'SMTP', ['other.example', 'example.com'], ['elsewhere.example']],
  ['other.example', 'SMTP', ['other.example'], ['example.com']],
]

for (const [domains, mode, local, foreign] of CASES) {
  test(`domains = ${domains}, over ${mode}`, () => {
    const isLocal = watchLocalDomains({ domains: domains.split(',') }, fakeConfig(lists), log)
    for (const host of local) assert.equal(isLocal(host, mode), true, host)
    for (const host of foreign) assert.equal(isLocal(host, mode), false, host)
  })
}

test('other domains count from the moment on that they are set', () => {
  const settings = { domains: ['one.example'] }
  const isLocal = watchLocalDomains(settings, fakeConfig(lists), log)
  const local = () => ['one.example', 'two.example', 'example.com'].filter(host => isLocal(host, 'SMTP'))
  assert.deepEqual(local(), ['one.example'])
  settings.domains = ['Two.example', 'host_list']
  assert.deepEqual(local(), ['two.example', 'example.com'])
  settings.domains = ['one.example']
  assert.deepEqual(local(), ['one.example'])
})

test('a change of host_list is followed, more than once', () => {
  const config = fakeConfig({ host_list: ['one.example'] })
  const isLocal = watchLocalDomains({ domains: ['host_list'] }, config, log)
  for (const host of ['two.example', 'three.example']) {
    config.files.host_list = [host]
    config.changed('host_list')
    assert.equal(isLocal(host, 'SMTP'), true)
    assert.equal(isLocal('one.example', 'SMTP'), false)
  }
})

test('a host_list_regex that is no pattern is said once, and host_list still counts', () => {
  errors.length = 0
  const isLocal = watchLocalDomains(
    { domains: ['host_list'] },
    fakeConfig({ ...lists, host_list_regex: ['('] }),
    log,
  )
  assert.equal(isLocal('example.com', 'SMTP'), true)
  assert.equal(isLocal('a.example.net', 'SMTP'), false)
  assert.equal(errors.length, 1)
})
