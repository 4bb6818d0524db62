import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noLog } from '../../plugins/xaps/base/log.ts'
import { parseConfig } from '../../plugins/xaps/config/config.ts'
import { localPart, type Mode, userNameOf, withoutDetail } from '../../plugins/xaps/delivery/address.ts'
import { openUserLookup } from '../../plugins/xaps/delivery/recipients.ts'
import type { UserDbAnswer } from '../../plugins/xaps/delivery/userdb-protocol.ts'

const configOf = (users = '') => parseConfig(`[users]\n${users}\n[delivery]\ndomains = example.com`, '/tmp')
const address = (user: string, host = 'example.com') => ({ user, host })

const DETAILS: readonly (readonly [local: string, delimiters: string, name: string])[] = [
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

for (const [local, delimiters, name] of DETAILS) {
  test(`${local} with delimiters "${delimiters}" is ${name}`, () => {
    assert.equal(withoutDetail(local, delimiters), name)
  })
}

test('a quoted local part is the same mailbox as the plain one', () => {
  assert.equal(localPart(address('"a \\"b\\""')), 'a "b"')
  assert.equal(userNameOf(address('"alice+shop"'), configOf().users), 'alice@example.com')
})

test('username = local_part leaves the domain out, and a bare postmaster has none', () => {
  assert.equal(userNameOf(address('alice+shop'), configOf('username = local_part').users), 'alice')
  assert.equal(userNameOf(address('postmaster', ''), configOf().users), 'postmaster')
})

/** The users behind `recipients`, by these settings and, where given, these answers of Dovecot's. */
function usersOf(
  recipients: readonly ReturnType<typeof address>[],
  mode: Mode,
  settings = '',
  lookup?: (name: string) => Promise<UserDbAnswer>,
): Promise<string[]> {
  const userDb = lookup && { lookup, close: () => undefined }
  const { resolve } = openUserLookup(configOf(settings), { get: () => [] }, noLog, userDb)
  return resolve(recipients, mode).then(({ users }) => [...users])
}

test('each user is named once, in lower case, and none of another domain', async () => {
  const others = [address('bob'), address('carol', 'elsewhere.example')]
  const users = await usersOf([address('Alice'), address('alice+shop'), ...others], 'SMTP')
  assert.deepEqual(users, ['alice@example.com', 'bob@example.com'])
})

test('case is kept when lowercase is off', async () => {
  assert.deepEqual(await usersOf([address('Alice')], 'LMTP', 'lowercase = false'), ['Alice@example.com'])
})

test('a name that is too long for any user is left out', async () => {
  assert.deepEqual(await usersOf([address('a'.repeat(64), `${'b.'.repeat(100)}example`)], 'LMTP'), [])
})

test("the userdb is asked for the whole address without detail, and its answer's name is taken", async () => {
  const asked: string[] = []
  const answers: Record<string, UserDbAnswer> = {
    'boss@example.com': { kind: 'user', name: 'Alice@example.com' },
    'gone@example.com': { kind: 'unknown' },
    'bob@example.com': { kind: 'unavailable', reason: 'in this test' },
  }
  const lookup = async (name: string): Promise<UserDbAnswer> => {
    asked.push(name)
    return answers[name] ?? { kind: 'unknown' }
  }
  const recipients = [address('boss+x'), address('gone'), address('bob+y')]
  const users = await usersOf(recipients, 'LMTP', 'username = local_part', lookup)
  assert.deepEqual(users, ['alice@example.com', 'bob'])
  assert.deepEqual(asked, Object.keys(answers))
})
