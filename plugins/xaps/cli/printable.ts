/** Text of unknown origin on a terminal. */

/** Names come from phones and files: what could steer a terminal is shown escaped. */
export function printable(name: string): string {
  return name.replace(/[\p{Control}\p{Format}\u2028\u2029]/gu, character =>
    JSON.stringify(character).slice(1, -1),
  )
}
