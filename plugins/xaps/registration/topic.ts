/** The topic as the body of an HTTP answer. Knows nothing of HTTP's heads. */

/**
 * freswa's plugin ends the imap process on a body of this many bytes or fewer. It takes NUL for the end, so padding
 * helps; timlaing's plugin takes a body with NUL for no topic at all. Longer topics go out bare, which suits both.
 */
const SHORT_BYTES = 50

const PADDED_BYTES = 64

/** Whether no answer suits both plugins. */
export function isShortTopic(topic: string): boolean {
  return Buffer.byteLength(topic) <= SHORT_BYTES
}

/** `pad`: a short topic is answered as freswa's plugin needs it; otherwise as timlaing's does. */
export function topicBody(topic: string, pad: boolean): string {
  return pad && isShortTopic(topic) ? topic.padEnd(PADDED_BYTES, '\0') : topic
}
