import assert from 'node:assert/strict'
import { test } from 'node:test'
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

test('what went by LMTP is local, whatever its domain', () => {
  const isLocal = watchLocalDomains(['host_list'], fakeConfig({}), log)
  assert.equal(isLocal('elsewhere.example', 'LMTP'), true)
  assert.equal(isLocal('', 'LMTP'), true)
  assert.equal(isLocal('elsewhere.example', 'SMTP'), false)
})

test('host_list means the lists of Haraka, plain and of patterns for the whole name', () => {
  const isLocal = watchLocalDomains(['host_list'], fakeConfig(lists), log)
  for (const host of ['example.com', 'a.example.net', 'mx1']) assert.equal(isLocal(host, 'SMTP'), true, host)
  for (const host of ['notexample.com', 'example.net', 'mx12', 'amx1', '']) {
    assert.equal(isLocal(host, 'SMTP'), false, host)
  }
})

test('* means every domain, a list its domains, and both can be joined with host_list', () => {
  assert.equal(watchLocalDomains(['*'], fakeConfig({}), log)('any.example', 'SMTP'), true)
  const isLocal = watchLocalDomains(['Other.Example', 'host_list'], fakeConfig(lists), log)
  assert.equal(isLocal('other.example', 'SMTP'), true)
  assert.equal(isLocal('example.com', 'SMTP'), true)
  assert.equal(watchLocalDomains(['other.example'], fakeConfig(lists), log)('example.com', 'SMTP'), false)
})

test('a change of host_list is followed, more than once', () => {
  const config = fakeConfig({ host_list: ['one.example'] })
  const isLocal = watchLocalDomains(['host_list'], config, log)
  for (const host of ['two.example', 'three.example']) {
    config.files.host_list = [host]
    config.changed('host_list')
    assert.equal(isLocal(host, 'SMTP'), true)
    assert.equal(isLocal('one.example', 'SMTP'), false)
  }
})

test('a host_list_regex that is no pattern is said once, and host_list still counts', () => {
  errors.length = 0
  const isLocal = watchLocalDomains(['host_list'], fakeConfig({ ...lists, host_list_regex: ['('] }), log)
  assert.equal(isLocal('example.com', 'SMTP'), true)
  assert.equal(isLocal('a.example.net', 'SMTP'), false)
  assert.equal(errors.length, 1)
})
