import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Unfinished } from '../../plugins/xaps/registration/receive.ts'

const LARGE = 100_000

function setup(limit: number) {
  const unfinished = new Unfinished(limit)
  const refused: string[] = []
  const begin = (name: string) => {
    const incoming = unfinished.begin(error => {
      refused.push(`${name}: ${error.message}`)
      incoming.end()
    })
    return incoming
  }
  const send = (name: string, bytes: number) => {
    const incoming = begin(name)
    incoming.add(Buffer.alloc(bytes))
    return incoming
  }
  return { unfinished, refused, begin, send }
}

test('keeps what comes, in its order', () => {
  const { unfinished, begin } = setup(1_000_000)
  const incoming = begin('a')
  for (const part of ['on', 'e ', 'line']) incoming.add(Buffer.from(part))
  assert.equal(String(incoming.end()), 'one line')
  incoming.add(Buffer.from('late'))
  assert.equal(incoming.end().length, 0)
  assert.equal(unfinished.held, 0)
})

test('refuses more than a request may have', () => {
  const { unfinished, refused, send } = setup(10_000_000)
  send('a', 1_048_576).add(Buffer.alloc(1))
  assert.deepEqual(refused, ['a: longer than 1048576 bytes'])
  assert.equal(unfinished.held, 0)
})

test('beyond the limit the oldest large request gives way, not the one that comes', () => {
  const { unfinished, refused, send } = setup(3.5 * LARGE)
  for (const name of ['a', 'b', 'c', 'd']) send(name, LARGE)
  assert.deepEqual(refused, ['a: busy, try again'])
  const whole = send('e', LARGE)
  assert.deepEqual(refused.slice(1), ['b: busy, try again'])
  assert.equal(whole.end().length, LARGE)
  assert.ok(unfinished.held <= 3.5 * LARGE)
})

test('a request gets no younger by going on', () => {
  const { refused, send } = setup(3.5 * LARGE)
  const first = send('a', LARGE)
  send('b', LARGE)
  first.add(Buffer.alloc(1))
  for (const name of ['c', 'd']) send(name, LARGE)
  assert.deepEqual(refused, ['a: busy, try again'])
})

test('a request of a usual size does not give way to large ones, however many and however old it is', () => {
  const { refused, send } = setup(3.5 * LARGE)
  const small = send('small', 5_000)
  for (let i = 0; i < 100; i += 1) send('large', LARGE)
  assert.ok(refused.length > 90)
  assert.equal(refused.filter(line => line.startsWith('small')).length, 0)
  assert.equal(small.end().length, 5_000)
})

test('small ones are bounded together too, and the oldest of them gives way', () => {
  const { unfinished, refused, send } = setup(100_000)
  for (let i = 0; i < 30; i += 1) send(`n${i}`, 5_000)
  assert.ok(unfinished.held <= 100_000)
  assert.deepEqual(refused[0], 'n0: busy, try again')
  assert.equal(refused.length, 30 - Math.floor(100_000 / 5_256))
})

test('a request that comes byte by byte costs more than its bytes', () => {
  const { unfinished, begin } = setup(1_000_000)
  const incoming = begin('a')
  for (let i = 0; i < 100; i += 1) incoming.add(Buffer.alloc(1))
  assert.ok(unfinished.held > 10_000)
})
