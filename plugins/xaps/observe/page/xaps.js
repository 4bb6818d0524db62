/**
 * The status page: draws the Overview that `events` sends every five seconds, and says when it has stopped to. The words for
 * decisions are those of decisions.ts. Times are the companion's; texts are set as text, never as HTML.
 */

/** @import { Health, Overview, ProcessState } from '../overview.ts' */

import { showDecisions, showTimes } from './charts.js'
import { at, date, html, number, row, say, second, span, time } from './elements.js'

/** Three messages have not come. */
const SILENCE = 15_500
const RETRY = 3_000
/** A screen reader has noticed by then. */
const TOLD = 3_000

const STATES = { works: 'Works', impaired: 'Impaired', down: 'Down', unknown: 'Not known' }
const TROUBLES = { connection: 'not reached', busy: 'asks to wait', setup: 'refuses us' }

/** @type {Overview | undefined} */
let last

/** `40 seconds ago`, before the overview's time. @param {number | undefined} at */
const ago = at => (at === undefined ? 'never' : `${span((last?.at ?? at) - at)} ago`)

/** @param {Health} health */
function showHealth({ state, sentence, since, remedy = '' }) {
  const sinceWords =
    since === undefined ? '' : `Since ${moment(since)}, ${span((last?.at ?? since) - since)} now.`
  sayHealth(state, sentence, sinceWords, remedy)
}

/** @param {keyof typeof STATES} state @param {string} sentence @param {string} since @param {string} remedy */
function sayHealth(state, sentence, since, remedy) {
  at('health').dataset.state = state
  say('state', STATES[state])
  say('sentence', sentence)
  say('since', since)
  at('remedy').replaceChildren(...(remedy === '' ? [] : [html('b', {}, 'What to do: '), ...withCode(remedy)]))
  document.title = `${STATES[state]} · xaps`
  tell(`${STATES[state]}: ${sentence}`)
}

let told = ''

/** Tells a screen reader what is news: not the numbers, which change all the time. @param {string} text */
function tell(text) {
  const news = text.replace(/\d+/g, '')
  if (news === told) return
  told = news
  at('told').textContent = text
  // It is old soon, and stands there to be read by itself.
  setTimeout(() => at('told').replaceChildren(), TOLD)
}

/** What stands between backticks is code. @param {string} text */
const withCode = text =>
  text.split('`').map((part, place) => (place % 2 === 1 ? html('code', {}, part) : part))

/** The time of day, with the date where it is another day's. @param {number} ms */
const moment = ms => (date(ms) === date(last?.at) ? time(ms) : `${date(ms)}, ${time(ms)}`)

/** @param {Overview} overview */
function showFacts({ processes, spooled }) {
  const apples = processes.map(({ apple }) => apple)
  const trouble = apples.find(apple => apple.trouble !== undefined)?.trouble
  const accepted = latest(apples.map(({ acceptedAt }) => acceptedAt))
  const stores = processes.map(({ store }) => store)
  const store = stores.find(({ up }) => up === false) ?? stores.find(({ up }) => up)
  const pending = processes.reduce((sum, process) => sum + process.pending, 0)
  at('facts').replaceChildren(
    fact('Apple', ...appleWords(trouble, accepted), `last accepted: ${ago(accepted)}`),
    fact('Device store', ...storeWords(store?.up), storeNote(store)),
    certificateFact(apples.flatMap(({ certificateEnds }) => certificateEnds ?? [])),
    fact('Waiting', number(pending), '', 'devices that wait for a push'),
    fact('Spool', number(spooled), spooled > 0 ? 'warn' : '', 'registrations that wait for the store'),
    fact('Running', String(processes.length), '', processes.map(({ process }) => process).join(', ')),
  )
}

/** @param {ProcessState['store'] | undefined} store */
function storeNote({ up, since, failure = '' } = {}) {
  if (up === undefined || since === undefined) return ''
  return `for ${span((last?.at ?? since) - since)}${up ? '' : `: ${failure}`}`
}

/** @param {(number | undefined)[]} times */
const latest = times => times.reduce((a, b) => (b === undefined || (a ?? 0) > b ? a : b), undefined)

/** @param {string} name @param {string} value @param {string} kind @param {string} note */
const fact = (name, value, kind, note) =>
  html(
    'div',
    {},
    html('dt', {}, name),
    html('dd', { class: kind }, value),
    html('dd', { class: 'note' }, note),
  )

/** @param {string | undefined} trouble @param {number | undefined} accepted @returns {[string, string]} */
function appleWords(trouble, accepted) {
  if (trouble !== undefined)
    return [/** @type {Record<string, string>} */ (TROUBLES)[trouble] ?? trouble, 'bad']
  return [accepted === undefined ? 'nothing sent yet' : 'accepts', '']
}

/** @param {boolean | undefined} up @returns {[string, string]} */
const storeWords = up =>
  up === undefined ? ['not asked yet', ''] : up ? ['answers', ''] : ['no answer', 'bad']

/** @param {number[]} ends */
function certificateFact(ends) {
  if (ends.length === 0) return fact('Certificate', 'none', '', 'a provider token has no end')
  const end = Math.min(...ends)
  const days = Math.floor((end - (last?.at ?? 0)) / 86_400_000)
  const kind = days < 0 ? 'bad' : days < 30 ? 'warn' : ''
  return fact('Certificate', days < 0 ? 'has ended' : `${number(days)} days`, kind, `until ${date(end)}`)
}

/** @param {readonly ProcessState[]} processes */
function showProcesses(processes) {
  at('process-rows').replaceChildren(...processes.map(processRow))
}

/** @param {ProcessState} state */
function processRow({ process, pid, startedAt, pending, apple, store }) {
  const mark = (/** @type {[string, string]} */ [text, kind]) => html('span', { class: kind }, text)
  return row(
    process,
    mark(appleWords(apple.trouble, apple.acceptedAt)),
    mark(storeWords(store.up)),
    pending,
    ago(apple.acceptedAt),
    html('span', {}, ago(apple.failedAt), html('small', {}, apple.failure ?? '')),
    moment(startedAt),
    html('td', { class: 'number' }, String(pid)),
  )
}

/** @param {Overview['devices']} counts */
function showDevices(counts) {
  at('seen').hidden = !counts
  if (!counts) return
  const { countedAt, users, devices, lastSeen, otherTopic } = counts
  const other =
    otherTopic > 0 ? ` ${number(otherTopic)} listen to another topic until they register again.` : ''
  say('counted', `${number(devices)} devices of ${number(users)} users, counted ${ago(countedAt)}.${other}`)
  const seen = /** @type {const} */ ([
    ['within a day', lastSeen.day],
    ['within two days', lastSeen.twoDays],
    ['within a week', lastSeen.week],
    ['longer ago', lastSeen.longer],
  ])
  at('seen-rows').replaceChildren(
    ...seen.map(([when, count]) => row(when, count, bar(count / Math.max(1, devices)))),
  )
}

/** @param {number} share */
function bar(share) {
  const element = html('div', { class: 'bar' })
  element.style.width = `${share * 100}%`
  return element
}

/** @param {Overview} overview */
function show(overview) {
  last = overview
  showHealth(overview.health)
  showFacts(overview)
  showDecisions(overview, words)
  showTimes(overview)
  showProcesses(overview.processes)
  showDevices(overview.devices)
  say(
    'made',
    `haraka-plugin-xaps ${overview.version}, as of ${second(overview.at)}. No users and no device tokens are shown here.`,
  )
}

let heard = Date.now()

/** @param {boolean} isLive */
function showLive(isLive) {
  at('live').dataset.live = isLive ? 'yes' : 'lost'
  document.body.classList.toggle('stale', !isLive)
  say('live', isLive ? 'live' : `not live since ${second(heard)}; trying again`)
}

/** Workers may push all the same; nothing is known of them. */
function showSilence() {
  showLive(false)
  const remedy =
    'does it run? The log of Haraka, or of `xaps serve`, says more; what stands below is from before'
  sayHealth('unknown', 'The companion does not answer', `Since ${second(heard)}.`, remedy)
}

/** A stream that breaks, is refused or falls silent is opened again: after a sleep of this machine no browser notices. */
function listen() {
  const events = new EventSource('events')
  const again = () => {
    clearTimeout(silence)
    events.close()
    showSilence()
    setTimeout(listen, RETRY)
  }
  let silence = setTimeout(again, SILENCE)
  events.addEventListener('error', again)
  events.addEventListener('overview', ({ data }) => {
    clearTimeout(silence)
    silence = setTimeout(again, SILENCE)
    heard = Date.now()
    show(JSON.parse(data))
    showLive(true)
  })
}

/** Of decisions. Without them their names do. @type {Readonly<Record<string, string>>} */
const words = await fetch('decisions.json')
  .then(answer => answer.json())
  .catch(() => ({}))
addEventListener('resize', () => last && show(last))
listen()
