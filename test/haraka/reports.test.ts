import assert from 'node:assert/strict'
import test from 'node:test'
import { Reports } from '../../plugins/xaps/haraka/reports.ts'
import { Metrics } from '../../plugins/xaps/observe/metrics.ts'
import { MOST_DECIDED } from '../../plugins/xaps/observe/report.ts'

function reportOf(sent: number, users: readonly string[] = []) {
  const metrics = new Metrics()
  metrics.count('xaps_pushes_total', 'sent', sent)
  const decided = users.map(user => ({ user, decision: 'pushed', at: 1 }) as const)
  return { pid: 1, startedAt: 0, at: 0, sums: metrics.sums, pending: 0, apple: {}, store: {}, decided }
}

const sentOf = (reports: Reports) =>
  reports.take().map(({ process, sums }) => [process, sums.counters.xaps_pushes_total?.sent])

test('a worker that is started again takes over the place and the sum of the one that has ended', () => {
  const reports = new Reports()
  reports.hear(1, reportOf(5))
  reports.hear(2, reportOf(7))
  reports.ended(1)
  assert.deepEqual(sentOf(reports), [
    ['worker1', 5],
    ['worker2', 7],
  ])
  reports.hear(3, reportOf(1))
  assert.deepEqual(sentOf(reports), [
    ['worker1', 6],
    ['worker2', 7],
  ])
  reports.ended(3)
  reports.ended(2)
  reports.hear(4, reportOf(1))
  assert.deepEqual(sentOf(reports), [
    ['worker1', 7],
    ['worker2', 7],
  ])
})

test('decisions are passed on once; while no companion takes them a bounded number waits', () => {
  const reports = new Reports()
  reports.hear(1, reportOf(1, ['anna']))
  reports.hear(2, reportOf(1, ['bob']))
  const users = () => reports.take().flatMap(({ decided }) => decided.map(({ user }) => user))
  assert.deepEqual(users(), ['anna', 'bob'])
  assert.deepEqual(users(), [])
  for (let round = 0; round < 3; round += 1)
    reports.hear(
      1,
      reportOf(
        1,
        Array.from({ length: MOST_DECIDED }, (_, number) => `${round}.${number}`),
      ),
    )
  assert.equal(users().length, MOST_DECIDED)
})

test('what is no report, as a worker of another version may send it, changes nothing', () => {
  const reports = new Reports()
  reports.hear(1, reportOf(5))
  const { sums, ...others } = reportOf(6)
  for (const report of [
    undefined,
    null,
    'x',
    {},
    others,
    { ...others, sums: {} },
    { ...others, sums, decided: 1 },
  ])
    reports.hear(1, report)
  reports.ended(1)
  assert.deepEqual(sentOf(reports), [['worker1', 5]])
})
