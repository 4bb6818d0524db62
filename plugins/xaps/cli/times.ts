/** Times as a person reads them. All numbers are milliseconds, since the epoch where a moment is meant. */

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
] as const

/** A length of time in the largest unit that fits: `40 s`, `2 h`. */
export function span(ms: number): string {
  const [unit, length] = UNITS.find(([, least]) => ms >= least) ?? (['s', 1_000] as const)
  return `${Math.floor(Math.max(0, ms) / length)} ${unit}`
}

/** How long ago `at` was: `2 h ago`; less than a minute is `just now`. */
export function ago(at: number, now: number): string {
  return now - at < 60_000 ? 'just now' : `${span(now - at)} ago`
}

/** In ISO 8601, UTC, with milliseconds. */
export const iso = (at: number) => new Date(at).toISOString()

/** How long until `end`, in days, with the date: `212 days, until 2027-06-25`. */
export function days(end: number, now: number): string {
  const date = iso(end).slice(0, 10)
  if (end <= now) return `has ended, on ${date}`
  const left = Math.floor((end - now) / 86_400_000)
  return `${left === 1 ? '1 day' : `${left} days`}, until ${date}`
}
