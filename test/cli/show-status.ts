/** A program that prints the overview of a day of overviews.ts as `xaps status` does: `node show-status.js DAY AT`. */

import { printStatus } from '../../plugins/xaps/cli/status-view.ts'
import { type Day, overviewOf } from '../observe/overviews.ts'

const COUNTERS = {
  xaps_pushes_total: { gone: 2, sent: 12_041, 'later push': 1 },
  xaps_decisions_total: { no_device: 310, pushed: 12_041, covered: 2_204, waits_window: 1_977, expired: 0 },
  xaps_registrations_total: { refused: 1, saved: 2_480 },
}

const [day = '', at = ''] = process.argv.slice(2)
const overview = overviewOf(day as Day, Number(at))
const counters = day === 'nothing yet' ? {} : COUNTERS
void printStatus({ ...overview, sums: { counters, histograms: {} } }, '/run/dovecot/xapsd.sock')
