/** What the page is written with: elements of HTML and SVG, numbers and times. Texts are set as text, never as HTML. */

export const number = new Intl.NumberFormat('en').format
export const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' }).format
export const second = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' }).format
export const date = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })
  .format

/** `3 days`, of milliseconds. @param {number} ms */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000))
  const units = /** @type {const} */ ([
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
  ])
  const [unit, length] = units.find(([, length]) => seconds >= length * 2) ?? ['second', 1]
  const count = Math.floor(seconds / length)
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}

/** Seconds, in the unit that they are read in. @param {number | undefined} seconds */
export function duration(seconds) {
  if (seconds === undefined) return ''
  if (seconds < 1) return `${number(Math.round(seconds * 1000))} ms`
  return seconds < 120 ? `${number(Number(seconds.toPrecision(2)))} s` : span(seconds * 1000)
}

/** @param {string} id */
export const at = id => /** @type {HTMLElement} */ (document.getElementById(id))

/** Sets a text if it is another one, so that a screen reader is told of changes alone. @param {string} id @param {string} text */
export function say(id, text) {
  const element = at(id)
  if (element.textContent !== text) element.textContent = text
  element.hidden = text === ''
}

/** @param {string} tag @param {Record<string, string>} attributes @param {(Node | string)[]} children */
export function html(tag, attributes, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/** @param {string} tag @param {Record<string, string | number>} attributes @param {(Node | string)[]} children */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value))
  element.append(...children)
  return element
}

/**
 * A row of a table, whose first cell is its head. Numbers are set to the right; a cell stays what it is.
 * @param {string} head @param {(Node | string | number)[]} cells
 */
export function row(head, ...cells) {
  return html('tr', {}, html('th', { scope: 'row' }, head), ...cells.map(cellOf))
}

/** @param {Node | string | number} value */
function cellOf(value) {
  if (typeof value === 'number') return html('td', { class: 'number' }, number(value))
  return value instanceof HTMLTableCellElement ? value : html('td', {}, value)
}
