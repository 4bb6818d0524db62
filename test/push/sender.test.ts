import assert from 'node:assert/strict'
import test from 'node:test'
import { claimsInMemory } from '../../plugins/xaps/device/claim.ts'
import { Sender, type SenderParts, type SenderSettings } from '../../plugins/xaps/push/sender.ts'
import type { Target } from '../../plugins/xaps/push/settle.ts'
import type { Answer, Verdict } from '../../plugins/xaps/push/verdict.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { type RecordedLog, recordedLog } from '../support/recorded-log.ts'
import { deviceOf, OK, SETTINGS, StubApple, targetOf, tokenOf } from './parts.ts'

const REFUSED: Answer = { fault: 'connect ECONNREFUSED', of: 'connection' }
const STREAM_RESET: Answer = { fault: 'stream reset', of: 'stream' }
const BAD_CERTIFICATE: Answer = { status: 403, reason: 'BadCertificate' }
const UNAVAILABLE: Answer = { status: 503, reason: 'ServiceUnavailable' }
const SERVER_ERROR: Answer = { status: 500, reason: 'InternalServerError' }
const TOO_MANY: Answer = { status: 429, reason: 'TooManyRequests' }

interface Bench {
  readonly clock: FakeClock
  readonly apple: StubApple
  readonly log: RecordedLog
  readonly sender: Sender
  readonly settled: { target: Target; verdict: Verdict }[]
  /** An event for the device with this number, now. */
  happen(device: number, kind?: 'new' | 'change'): void
}

function bench(
  settings: Partial<SenderSettings> = {},
  parts: (clock: FakeClock) => Partial<SenderParts> = () => ({}),
): Bench {
  const clock = new FakeClock()
  const apple = new StubApple(clock)
  const log = recordedLog()
  const claims = claimsInMemory(() => clock.now())
  const settled: { target: Target; verdict: Verdict }[] = []
  const sender = new Sender(
    { ...SETTINGS, ...settings },
    {
      transport: apple,
      claim: (push, request) => claims.claim(push, request),
      mayPush: () => true,
      settler: { settle: async (target, verdict) => void settled.push({ target, verdict }) },
      accepted: () => undefined,
      log,
      random: () => 1,
      ...parts(clock),
    },
    clock,
  )
  const happen = (device: number, kind: 'new' | 'change' = 'new'): void =>
    sender.add(targetOf(device), { kind, at: clock.now() })
  return { clock, apple, log, sender, settled, happen }
}

/** A store of claims that takes `ms` for each. */
function slowClaim(clock: FakeClock, ms: number): SenderParts['claim'] {
  const claims = claimsInMemory(() => clock.now())
  return async (push, request) => {
    await clock.sleep(ms)
    return claims.claim(push, request)
  }
}

/** When pushes of a device reached Apple, in milliseconds since `start`. */
function times({ apple }: Bench, device: number, start: number): number[] {
  return apple.arrivals.filter(({ token }) => token === tokenOf(device)).map(({ at }) => at - start)
}

// When a push is sent

test('a new mail is pushed at once, and what follows within the window by one push at its end', async () => {
  const b = bench()
  const start = b.clock.now()
  b.happen(1)
  for (let second = 0; second < 4; second += 1) {
    await b.clock.advance(1_000)
    b.happen(1)
  }
  await b.clock.advance(60_000)
  assert.deepEqual(times(b, 1, start), [0, 5_000])
})

test('a change waits for change_delay, unless another push covers it meanwhile', async () => {
  const b = bench()
  const start = b.clock.now()
  b.happen(1, 'change')
  b.happen(2, 'change')
  await b.clock.advance(20_000)
  b.happen(2)
  await b.clock.advance(60_000)
  assert.deepEqual(times(b, 1, start), [30_000])
  assert.deepEqual(times(b, 2, start), [20_000])
})

test('steady traffic is pushed once per window', async () => {
  const b = bench()
  const start = b.clock.now()
  for (let tenth = 0; tenth < 300; tenth += 1) {
    b.happen(1)
    await b.clock.advance(100)
  }
  await b.clock.advance(10_000)
  assert.deepEqual(times(b, 1, start), [0, 5_000, 10_000, 15_000, 20_000, 25_000, 30_000])
})

test('an event that comes in while a push is under way is covered by the next one', async () => {
  const b = bench()
  const start = b.clock.now()
  b.apple.latencyMs = 1_000
  b.happen(1)
  await b.clock.advance(500)
  b.happen(1)
  await b.clock.advance(60_000)
  assert.deepEqual(times(b, 1, start), [0, 5_000])
})

test('an event that comes in while the store is asked is covered by the push that follows', async () => {
  const b = bench({}, clock => ({ claim: slowClaim(clock, 100) }))
  b.happen(1)
  await b.clock.advance(50)
  b.happen(1)
  await b.clock.advance(60_000)
  assert.equal(b.apple.arrivals.length, 1)
})

test('what another process has covered is not pushed again; what came in meanwhile keeps its own time', async () => {
  const answers = [{ kind: 'covered' as const }, { kind: 'granted' as const, id: 1 }]
  const start = new FakeClock().now()
  const b = bench({}, () => ({ claim: async () => answers.shift() ?? { kind: 'covered' } }))
  b.happen(1)
  await settle()
  b.sender.add(targetOf(1), { kind: 'change', at: start + 1 })
  await b.clock.advance(60_000)
  assert.deepEqual(times(b, 1, start), [30_001])
})

test('a push that has to wait for the window of another process is sent at its end', async () => {
  const start = new FakeClock().now()
  const answers = [{ kind: 'wait' as const, ms: 3_000 }]
  const b = bench({}, () => ({ claim: async () => answers.shift() ?? { kind: 'granted', id: 1 } }))
  b.happen(1)
  await b.clock.advance(60_000)
  assert.deepEqual(times(b, 1, start), [3_000])
})

test('an event that was looked up late and is covered already makes no push', async () => {
  const b = bench()
  const early = b.clock.now() - 10
  b.happen(1)
  await b.clock.advance(100)
  b.sender.add(targetOf(1), { kind: 'new', at: early })
  await b.clock.advance(60_000)
  assert.equal(b.apple.arrivals.length, 1)
})

test('the newest registration of a device is the one that is pushed', async () => {
  const b = bench()
  b.happen(1)
  await b.clock.advance(1_000)
  const changed = { user: 'user1@example.org', device: deviceOf(1, { lastSeen: 99_000 }) }
  b.apple.answer = () => ({ status: 410, reason: 'Unregistered', timestamp: 5 })
  b.sender.add(changed, { kind: 'new', at: b.clock.now() })
  await b.clock.advance(10_000)
  assert.equal(b.settled.at(-1)?.target.device.lastSeen, 99_000)
})

test('a device that listens to a topic of other credentials is not pushed', async () => {
  const b = bench({}, () => ({ mayPush: ({ topic }) => topic === 'other' }))
  b.happen(1)
  await b.clock.advance(60_000)
  assert.equal(b.apple.arrivals.length, 0)
  assert.equal(b.sender.pending, 0)
  assert.deepEqual(b.log.loud(), [])
})

// Outages

test('a million events for 1,000 devices during an outage keep 1,000 entries, and each is pushed once after it', async () => {
  const b = bench()
  b.apple.answer = () => REFUSED
  for (let round = 0; round < 1_000; round += 1) {
    for (let device = 0; device < 1_000; device += 1) b.happen(device)
    await b.clock.advance(100)
  }
  assert.equal(b.sender.pending, 1_000)
  assert.ok(b.clock.timers <= 2, `${b.clock.timers} timers`)
  const last = b.clock.now()
  b.apple.answer = () => OK
  await b.clock.advance(30_000)
  const accepted = b.apple.accepted()
  assert.equal(accepted.length, 1_000)
  assert.ok(accepted.every(at => at >= last - 100))
  assert.equal(b.sender.pending, 0)
  await b.clock.advance(60_000)
  assert.equal(b.clock.timers, 0)
})

test('an outage makes one line when it begins and one when it ends, however many pushes meet it', async () => {
  const b = bench()
  b.apple.latencyMs = 5
  b.apple.answer = () => REFUSED
  for (let device = 0; device < 500; device += 1) b.happen(device)
  await b.clock.advance(120_000)
  assert.deepEqual(b.log.loud(), [
    'warn: Apple cannot be reached; pushes wait and are tried again cause="connect ECONNREFUSED"',
  ])
  b.apple.answer = () => OK
  await b.clock.advance(30_000)
  assert.equal(b.log.loud().length, 2)
  assert.match(
    b.log.loud()[1] ?? '',
    /^notice: Apple accepts pushes again after_seconds=1[23]\d waiting=499$/,
  )
})

test('the tries of an outage are one at a time, from half a second doubling to 15 seconds', async () => {
  const b = bench()
  const start = b.clock.now()
  b.apple.answer = () => REFUSED
  b.happen(1)
  await b.clock.advance(62_000)
  assert.deepEqual(times(b, 1, start), [0, 500, 1_500, 3_500, 7_500, 15_500, 30_500, 45_500, 60_500])
})

test('pushes that were being prepared when an outage began are held back, and count as one failure', async () => {
  const b = bench({}, clock => ({ claim: slowClaim(clock, 10) }))
  b.apple.latencyMs = 5
  b.apple.answer = () => REFUSED
  for (let device = 0; device < 100; device += 1) {
    b.happen(device)
    await b.clock.advance(1)
  }
  await b.clock.advance(400)
  const sent = b.apple.arrivals.length
  assert.ok(sent < 10, `${sent} were sent before the first failure was known`)
  await b.clock.advance(120)
  assert.equal(b.apple.arrivals.length, sent + 1, 'one probe after half a second, not after 15')
})

test('a gate that closed with nothing left to push lets the next event try', async () => {
  const b = bench({ keepForMs: 1_000 })
  b.apple.answer = () => REFUSED
  b.happen(1)
  await b.clock.advance(60_000)
  assert.equal(b.sender.pending, 0, 'dropped by keep_for')
  b.apple.answer = () => OK
  b.happen(2)
  await settle()
  assert.equal(b.apple.accepted(tokenOf(2)).length, 1)
})

test('a probe opens the gate also when Apple refuses its device', async () => {
  for (const answer of [
    TOO_MANY,
    { status: 410, reason: 'Unregistered' },
    { status: 400, reason: 'BadDeviceToken' },
  ]) {
    const b = bench()
    b.apple.answer = () => REFUSED
    b.happen(1)
    await settle()
    b.happen(2)
    b.apple.answer = ({ token }) => (token === tokenOf(2) ? OK : answer)
    await b.clock.advance(500)
    assert.equal(b.apple.accepted(tokenOf(2)).length, 1, JSON.stringify(answer))
  }
})

test('after an outage those that waited follow in growing numbers, at most 1,000 a second', async () => {
  const b = bench()
  b.apple.latencyMs = 50
  b.apple.answer = () => REFUSED
  for (let device = 0; device < 5_000; device += 1) b.happen(device)
  await b.clock.advance(60_000)
  b.apple.answer = () => OK
  await b.clock.advance(30_000)
  const accepted = b.apple.accepted()
  assert.equal(accepted.length, 5_000)
  const [first = 0] = accepted
  const startedBy = (ms: number): number => accepted.filter(at => at <= first + ms).length
  assert.deepEqual([0, 50, 100, 150, 200].map(startedBy), [1, 3, 7, 15, 31])
  assert.ok(startedBy(3_000) <= 3_000, `${startedBy(3_000)} in 3 seconds`)
  assert.equal(startedBy(6_000), 5_000)
})

test('when those that waited have been pushed, others are no longer held to that pace', async () => {
  const b = bench()
  b.apple.answer = () => REFUSED
  for (let device = 0; device < 1_200; device += 1) b.happen(device)
  await b.clock.advance(1_000)
  b.apple.answer = () => OK
  // New events keep coming all the time, so that the queue is never empty for long.
  for (let tenth = 0; tenth < 100; tenth += 1) {
    for (let device = 0; device < 150; device += 1) b.happen(10_000 + tenth * 150 + device)
    await b.clock.advance(100)
  }
  assert.ok(b.sender.pending < 50, `${b.sender.pending} pending`)
})

test('Apple asks to wait: nobody is pushed before that time', async () => {
  const b = bench()
  const start = b.clock.now()
  b.apple.answer = () => ({ ...UNAVAILABLE, retryAfterMs: 40_000 })
  b.happen(1)
  await settle()
  b.apple.answer = () => OK
  b.happen(2)
  await b.clock.advance(60_000)
  assert.deepEqual(
    b.apple.accepted().map(at => at - start),
    [40_000, 40_000],
  )
  assert.match(b.log.loud()[0] ?? '', /^warn: Apple asks to wait; .*cause=ServiceUnavailable$/)
})

test('TooManyProviderTokenUpdates: nobody is pushed for 20 minutes', async () => {
  const b = bench()
  b.apple.answer = () => ({ status: 429, reason: 'TooManyProviderTokenUpdates' })
  b.happen(1)
  await b.clock.advance(20 * 60_000 - 1)
  assert.equal(b.apple.arrivals.length, 1)
  await b.clock.advance(1)
  assert.equal(b.apple.arrivals.length, 2)
})

test('refused credentials: one error, a try a minute, nothing deleted, and all is pushed once they are mended', async () => {
  const b = bench()
  b.apple.answer = () => BAD_CERTIFICATE
  for (let device = 0; device < 20; device += 1) b.happen(device)
  await b.clock.advance(600_000)
  assert.equal(b.apple.arrivals.filter(({ at }) => at > b.clock.now() - 300_000).length, 5)
  assert.equal(b.log.loud().length, 1)
  assert.match(b.log.loud()[0] ?? '', /^error: Apple refuses our pushes; .*cause=BadCertificate$/)
  b.apple.answer = () => OK
  b.sender.mended()
  await b.clock.advance(1_000)
  assert.equal(b.apple.accepted().length, 20, 'without waiting for the minute to end')
})

test('a change from one trouble to another is said', async () => {
  const b = bench()
  b.apple.answer = () => REFUSED
  b.happen(1)
  await b.clock.advance(5_000)
  b.apple.answer = () => BAD_CERTIFICATE
  await b.clock.advance(200_000)
  b.apple.answer = () => OK
  await b.clock.advance(60_000)
  assert.deepEqual(
    b.log.loud().map(line => line.split(':')[0]),
    ['warn', 'error', 'notice'],
  )
})

test('what cannot be sent for longer than keep_for is dropped, but not a device with a newer event', async () => {
  const b = bench({ keepForMs: 3_600_000 })
  b.apple.answer = () => REFUSED
  b.happen(1)
  b.happen(2)
  await b.clock.advance(3_000_000)
  b.happen(2)
  await b.clock.advance(3_000_000)
  b.apple.answer = () => OK
  await b.clock.advance(60_000)
  assert.equal(b.apple.accepted(tokenOf(1)).length, 0)
  assert.equal(b.apple.accepted(tokenOf(2)).length, 1)
  assert.equal(b.sender.pending, 0)
})

// Faults of one push or device

test('one push whose stream is reset is sent again by itself; others do not notice', async () => {
  const b = bench()
  const start = b.clock.now()
  b.apple.answer = ({ token }) => (token === tokenOf(1) ? STREAM_RESET : OK)
  b.happen(1)
  await settle()
  b.happen(2)
  await settle()
  assert.equal(b.apple.accepted(tokenOf(2)).length, 1)
  b.apple.answer = () => OK
  await b.clock.advance(10_000)
  assert.deepEqual(times(b, 1, start), [0, 500])
  assert.deepEqual(b.log.loud(), [])
})

for (const answer of [STREAM_RESET, SERVER_ERROR]) {
  test(`many pushes in a row that all fail alone are an outage: ${JSON.stringify(answer)}`, async () => {
    const b = bench()
    b.apple.answer = () => answer
    for (let device = 0; device < 100; device += 1) b.happen(device)
    await b.clock.advance(60_000)
    assert.equal(b.log.loud().length, 1)
    assert.ok(b.apple.arrivals.length < 200, `${b.apple.arrivals.length} tries in a minute`)
    b.apple.answer = () => OK
    await b.clock.advance(60_000)
    assert.equal(b.apple.accepted().length, 100)
    assert.equal(b.log.loud().length, 2)
  })
}

test('429 TooManyRequests: that device alone waits, each time longer, and is then pushed once', async () => {
  const b = bench()
  const start = b.clock.now()
  let left = 2
  b.apple.answer = ({ token }) => (token === tokenOf(1) && left-- > 0 ? TOO_MANY : OK)
  b.happen(1)
  b.happen(2)
  await b.clock.advance(3_000)
  b.happen(1)
  await b.clock.advance(60_000)
  assert.deepEqual(times(b, 1, start), [0, 15_000, 30_000])
  assert.deepEqual(times(b, 2, start), [0])
  assert.deepEqual(b.log.loud(), [])
})

for (const answer of [
  { status: 410, reason: 'Unregistered', timestamp: 7 },
  { status: 400, reason: 'BadDeviceToken' },
  { status: 400, reason: 'DeviceTokenNotForTopic' },
]) {
  test(`${answer.reason} is settled and not tried again`, async () => {
    const b = bench()
    b.apple.answer = () => answer
    b.happen(1)
    await b.clock.advance(60_000)
    assert.equal(b.apple.arrivals.length, 1)
    assert.equal(b.settled.length, 1)
    assert.equal(b.sender.pending, 0)
    assert.deepEqual(b.log.loud(), [])
  })
}

test('a fault inside the plugin ends that push, says so, and loses no later event', async () => {
  const b = bench()
  b.apple.answer = ({ token }) => {
    if (token !== tokenOf(1)) return OK
    throw new Error('a bug')
  }
  b.apple.latencyMs = 10
  b.happen(1)
  await b.clock.advance(5)
  b.happen(1)
  b.happen(2)
  await b.clock.advance(1_000)
  assert.equal(b.apple.accepted(tokenOf(2)).length, 1)
  assert.match(
    b.log.loud()[0] ?? '',
    /^error: a push failed inside the plugin; please report this cause="a bug"$/,
  )
  b.apple.answer = () => OK
  await b.clock.advance(10_000)
  assert.equal(b.apple.accepted(tokenOf(1)).length, 1, 'the event during the failed push')
})

// The store

test('pushes go on when the store cannot be asked; that is said once', async () => {
  const b = bench({}, () => ({ claim: () => Promise.reject(new Error('store away')) }))
  const start = b.clock.now()
  for (let second = 0; second < 12; second += 1) {
    b.happen(1)
    await b.clock.advance(1_000)
  }
  await b.clock.advance(10_000)
  assert.deepEqual(times(b, 1, start), [0, 5_000, 10_000, 15_000])
  assert.deepEqual(b.log.loud(), [
    'warn: the device store does not answer; pushing without asking other processes cause="store away"',
  ])
})

test('a claim that is held never stands in its own way, even after the store was away', async () => {
  let away = false
  const b = bench({}, clock => {
    const claims = claimsInMemory(() => clock.now())
    return {
      claim: (push, request) =>
        away ? Promise.reject(new Error('store away')) : claims.claim(push, request),
    }
  })
  b.apple.answer = () => REFUSED
  b.happen(1)
  await b.clock.advance(400)
  away = true
  await b.clock.advance(2_000)
  away = false
  b.apple.answer = () => OK
  await b.clock.advance(60_000)
  assert.equal(b.apple.accepted().length, 1)
})

test('a claim whose answer was lost does not pass for the push of another process', async () => {
  let lose = true
  const b = bench({}, clock => {
    const claims = claimsInMemory(() => clock.now())
    return {
      async claim(push, request) {
        const claim = await claims.claim(push, request)
        if (lose) throw new Error('connection lost after the command was sent')
        return claim
      },
    }
  })
  b.apple.answer = () => REFUSED
  b.happen(1)
  await b.clock.advance(100)
  lose = false
  b.apple.answer = () => OK
  await b.clock.advance(60_000)
  assert.equal(b.apple.accepted().length, 1)
})

test('when a push has got through, the store is believed again', async () => {
  const answers = ['fail', 'covered']
  const b = bench({}, () => ({
    async claim() {
      if (answers.shift() === 'fail') throw new Error('store away')
      return { kind: 'covered' }
    },
  }))
  b.happen(1)
  await settle()
  b.happen(1)
  await b.clock.advance(1_000)
  b.happen(1)
  await b.clock.advance(60_000)
  assert.equal(b.apple.arrivals.length, 1)
})

// The end

test('hurry pushes what waits for a window or a delay, and drain resolves when that is done', async () => {
  const b = bench()
  b.happen(1)
  b.happen(2, 'change')
  await b.clock.advance(1_000)
  b.happen(1)
  b.apple.latencyMs = 30
  b.sender.hurry()
  let drained = false
  const done = b.sender.drain(3_000).then(() => {
    drained = true
  })
  await b.clock.advance(10)
  assert.equal(drained, false)
  b.happen(3)
  await b.clock.advance(40)
  await done
  assert.equal(b.apple.accepted(tokenOf(1)).length, 2)
  assert.equal(b.apple.accepted(tokenOf(2)).length, 1)
  assert.equal(b.apple.accepted(tokenOf(3)).length, 1, 'also what comes in meanwhile')
})

test('drain resolves at once when nothing is pending, and waits for what is being settled', async () => {
  const b = bench({}, clock => ({ settler: { settle: () => clock.sleep(500) } }))
  await b.sender.drain(1_000)
  b.happen(1)
  await settle()
  assert.equal(b.sender.pending, 0)
  let drained = false
  const done = b.sender.drain(1_000).then(() => {
    drained = true
  })
  await settle()
  assert.equal(drained, false)
  await b.clock.advance(500)
  await done
})

test('drain ends in time while Apple is away, after one more try', async () => {
  const b = bench()
  b.apple.answer = () => REFUSED
  b.happen(1)
  await b.clock.advance(40_000)
  const tries = b.apple.arrivals.length
  b.sender.hurry()
  const done = b.sender.drain(3_000)
  await settle()
  assert.equal(b.apple.arrivals.length, tries + 1)
  await b.clock.advance(3_000)
  await done
  assert.equal(b.sender.pending, 1)
})

test('hurry does not hammer on a device that Apple asked to leave alone', async () => {
  const b = bench()
  b.apple.answer = () => TOO_MANY
  b.happen(1)
  await settle()
  b.sender.hurry()
  const done = b.sender.drain(3_000)
  await b.clock.advance(3_000)
  await done
  assert.ok(b.apple.arrivals.length <= 2, `${b.apple.arrivals.length} pushes`)
})

test('a closed sender takes no events, starts no pushes and keeps no timers', async () => {
  const b = bench()
  b.happen(1)
  b.happen(2, 'change')
  await b.clock.advance(100)
  b.happen(1)
  b.sender.close()
  b.happen(3)
  await b.clock.advance(60_000)
  assert.equal(b.apple.arrivals.length, 1)
  assert.equal(b.clock.timers, 0)
  assert.equal(b.sender.pending, 0)
})

test('no more than max_in_flight pushes are under way', async () => {
  const b = bench({ max_in_flight: 7 })
  b.apple.latencyMs = 20
  for (let device = 0; device < 100; device += 1) b.happen(device)
  await b.clock.advance(1_000)
  assert.equal(b.apple.mostInFlight, 7)
  assert.equal(b.apple.accepted().length, 100)
})
