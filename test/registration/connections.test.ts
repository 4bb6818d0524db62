import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test } from 'node:test'
import { Connections, connectionLimit } from '../../plugins/xaps/registration/connections.ts'
import { turns } from '../support/fake-clock.ts'
import { heldClock, keptLog } from './tools.ts'

function setup(limit: number) {
  const log = keptLog()
  const clock = heldClock()
  const connections = new Connections(limit, log, clock)
  const open = (count: number) =>
    Array.from({ length: count }, () => {
      const socket = new Socket()
      connections.add(socket)
      return socket
    })
  return { log, clock, connections, open }
}

const closed = (sockets: readonly Socket[]) => sockets.map(({ destroyed }) => destroyed)

test('at the limit the one that is open without a request for longest makes room', async () => {
  const { connections, open } = setup(3)
  const sockets = open(5)
  assert.deepEqual(closed(sockets), [true, true, false, false, false])
  await turns(1)
  assert.equal(connections.size, 3)
})

test('one whose request is being answered is not closed, and counts as idle from its last answer', () => {
  const { connections, open } = setup(2)
  const [first, second] = open(2) as [Socket, Socket]
  for (let request = 0; request < 2; request += 1) connections.answering(first)
  open(1)
  assert.deepEqual(closed([first, second]), [false, true])
  connections.answered(first)
  assert.ok(connections.isAnswering(first))
  open(1)
  assert.equal(first.destroyed, false)
  connections.answered(first)
  open(1)
  assert.equal(first.destroyed, false)
  open(1)
  assert.equal(first.destroyed, true)
})

test('an answer to a connection that is gone leaves nothing', async () => {
  const { connections, open } = setup(2)
  const [socket] = open(1) as [Socket]
  connections.answering(socket)
  socket.destroy()
  await turns(1)
  connections.answered(socket)
  assert.equal(connections.size, 0)
})

test('a request that begins on an idle connection is younger than those that are idle', () => {
  const { connections, open } = setup(2)
  const [first, second] = open(2)
  connections.begin(first as Socket)
  open(1)
  assert.deepEqual(closed([first as Socket, second as Socket]), [false, true])
})

test('when all are being answered the new one has to go', () => {
  const { connections, open } = setup(2)
  for (const socket of open(2)) connections.answering(socket)
  assert.deepEqual(closed(open(1)), [true])
})

test('says so once in ten minutes', async () => {
  const { log, clock, open } = setup(1)
  open(100)
  assert.equal(log.messages().length, 1)
  assert.match(String(log.messages()[0]), /^warn too many connections/)
  assert.deepEqual(log.entries[0]?.fields, { limit: 1 })
  await clock.advance(600_000)
  open(100)
  assert.equal(log.messages().length, 2)
})

test('the limit leaves descriptors for all else, and memory', () => {
  assert.deepEqual(
    [64, 1_024, 4_096, 1_048_576, Number.POSITIVE_INFINITY].map(connectionLimit),
    [32, 896, 3_968, 10_000, 10_000],
  )
  assert.ok(connectionLimit() > 0)
})
