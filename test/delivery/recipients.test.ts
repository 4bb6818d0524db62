import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseConfig } from '../../plugins/xaps/config/config.ts'
import { localPart, userNameOf, withoutDetail } from '../../plugins/xaps/delivery/address.ts'
import { usersOf } from '../../plugins/xaps/delivery/recipients.ts'
import type { UserDbAnswer } from '../../plugins/xaps/delivery/userdb-protocol.ts'

const usersIni = (lines = '') => parseConfig(`[users]\n${lines}`, '/tmp').users
const address = (user: string, host = 'example.com') => ({ user, host })

describe('withoutDetail', () => {
  const cases: [local: string, delimiters: string, expected: string][] = [
    ['alice', '+', 'alice'],
    ['alice+shop', '+', 'alice'],
    ['alice+shop+more', '+', 'alice'],
    ['alice-shop+more', '+-', 'alice'],
    ['alice-shop+more', '+', 'alice-shop'],
    ['+shop', '+', '+shop'],
    ['++shop', '+', '+'],
    ['alice+', '+', 'alice'],
    ['alice+shop', '', 'alice+shop'],
  ]
  for (const [local, delimiters, expected] of cases) {
    test(`${local} with delimiters "${delimiters}" is ${expected}`, () => {
      assert.equal(withoutDetail(local, delimiters), expected)
    })
  }
})

test('a quoted local part is the same mailbox as the plain one', () => {
  assert.equal(localPart(address('"a \\"b\\""')), 'a "b"')
  assert.equal(userNameOf(address('"alice+shop"'), usersIni()), 'alice@example.com')
})

test('username = local_part leaves the domain out, and a bare postmaster has none', () => {
  assert.equal(userNameOf(address('alice+shop'), usersIni('username = local_part')), 'alice')
  assert.equal(userNameOf(address('postmaster', ''), usersIni()), 'postmaster')
})

describe('usersOf', () => {
  const isLocal = (host: string) => host === 'example.com'

  test('names each user once, in lower case, and none of another domain', async () => {
    const recipients = [
      address('Alice'),
      address('alice+shop'),
      address('bob'),
      address('carol', 'elsewhere.example'),
    ]
    assert.deepEqual(await usersOf(recipients, 'SMTP', { users: usersIni(), isLocal }), [
      'alice@example.com',
      'bob@example.com',
    ])
  })

  test('keeps case when lowercase is off', async () => {
    const users = usersIni('lowercase = false')
    assert.deepEqual(await usersOf([address('Alice')], 'LMTP', { users, isLocal }), ['Alice@example.com'])
  })

  test('leaves out a name that is too long for any user', async () => {
    const long = address('a'.repeat(64), `${'b.'.repeat(100)}example`)
    assert.deepEqual(await usersOf([long], 'LMTP', { users: usersIni(), isLocal: () => true }), [])
  })

  test("asks the userdb for the whole address without detail, and takes its answer's name", async () => {
    const asked: string[] = []
    const answers: Record<string, UserDbAnswer> = {
      'boss@example.com': { kind: 'user', name: 'Alice@example.com' },
      'gone@example.com': { kind: 'unknown' },
      'bob@example.com': { kind: 'unavailable', reason: 'in this test' },
    }
    const lookup = async (name: string) => {
      asked.push(name)
      return answers[name] ?? ({ kind: 'unknown' } as const)
    }
    const recipients = [address('boss+x'), address('gone'), address('bob+y')]
    const users = usersIni('username = local_part')
    assert.deepEqual(await usersOf(recipients, 'LMTP', { users, isLocal, lookup }), [
      'alice@example.com',
      'bob',
    ])
    assert.deepEqual(asked, ['boss@example.com', 'gone@example.com', 'bob@example.com'])
  })
})
