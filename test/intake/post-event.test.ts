import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Intake } from '../../plugins/xaps/intake/intake.ts'
import { answers, ask, CLOSE, serve } from '../registration/http-listener.ts'
import { post } from '../registration/listeners.ts'
import { connect, heldClock, keptLog } from '../registration/tools.ts'
import { until } from '../support/wait.ts'
import { endEvent, NO_PHONES, recordedRequest, sieveEvent } from './exporter.ts'

function setup() {
  const users: string[] = []
  const log = keptLog()
  const userOf = () => new Promise<undefined>(() => undefined)
  const newMail = (user: string) => void users.push(user)
  const intake = new Intake(
    { lowercase: true },
    { ...NO_PHONES, newMail, notPushed: () => undefined, userOf, close: () => undefined },
    log,
    heldClock(),
  )
  return { users, log, intake, takeEvent: (text: string) => intake.take(text) }
}

const toEvent = (request: string) => request.replace(/^POST \S+/, 'POST /event')

test('recorded requests of Dovecot 2.3 and 2.4 over one connection: each is answered, in order', async t => {
  const { users, intake, takeEvent } = setup()
  const { address } = await serve(t, { takeEvent })
  const client = await connect(address)
  t.after(() => client.socket.destroy())
  const names = ['23-http-keep', '24-http-discard', '24-http-delivery-nosieve', '24-http-id-before-login']
  for (const [index, name] of names.entries()) {
    client.socket.write(toEvent(recordedRequest(name)))
    const received = await answers(client, index + 1)
    assert.equal(received.match(/HTTP\/1\.1 204 /g)?.length, index + 1)
  }
  assert.deepEqual(users, ['alice@example.org'])
  assert.match(intake.status(), /^events=4 /)
})

test('events that come all at once are answered before anything is done for them', async t => {
  const { users, takeEvent } = setup()
  const { address } = await serve(t, { takeEvent })
  const client = await connect(address)
  t.after(() => client.socket.destroy())
  const bodies = Array.from({ length: 200 }, (_, index) => sieveEvent({ session: `s${index}` }))
  client.socket.write(bodies.map(body => post('/event', body)).join(''))
  await answers(client, bodies.length)
  await until(() => users.length === bodies.length, 'the events')
})

const REFUSED: readonly [what: string, request: string, status: number][] = [
  ['no event', post('/event', '{}', CLOSE), 400],
  ['half an event', post('/event', endEvent().slice(0, 50), CLOSE), 400],
  ['a long one', post('/event', sieveEvent({ message_subject: 'x'.repeat(70_000) }), CLOSE), 400],
  ['a huge one', post('/event', sieveEvent({ message_subject: 'x'.repeat(2 ** 21) }), CLOSE), 413],
  ['a user with a line break', post('/event', sieveEvent({ user: 'a\nb' }), CLOSE), 400],
  ['a form of a web page', post('/event', sieveEvent(), [...CLOSE, 'Content-Type: text/plain']), 415],
  ['a web page', post('/event', sieveEvent(), [...CLOSE, 'Origin: http://localhost']), 403],
  ['another host', post('/event', sieveEvent(), [...CLOSE, 'Host: evil.example']), 421],
  ['a GET', 'GET /event HTTP/1.0\r\n\r\n', 405],
]

for (const [what, request, status] of REFUSED) {
  test(`refused with ${status}: ${what}`, async t => {
    const { users, takeEvent, log } = setup()
    const { address, log: httpLog } = await serve(t, { takeEvent })
    assert.equal((await ask(address, request)).status, status)
    assert.equal((await ask(address, post('/event', sieveEvent(), CLOSE))).status, 204)
    await until(() => users.length === 1, 'the event after it')
    assert.doesNotMatch(JSON.stringify([log.entries, httpLog.entries]), /secret|sender@|xxx/)
  })
}
