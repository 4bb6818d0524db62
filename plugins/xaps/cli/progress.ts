/** How far a long command is: on a terminal, and nowhere else. */

import { SingleBar } from 'cli-progress'
import { visible } from '../log.ts'

export interface Progress {
  /** `bytes` more of the total are done; `devices` is how many devices that makes so far. */
  advance(bytes: number, devices: number): void
  /** A line above the bar, on a terminal or not, made visible. */
  note(line: string): void
  /** Takes the bar away. Again is no error. */
  stop(): void
}

const ERASE_LINE = '\r\u001b[K'

/** `total` in bytes; when it is undefined only the devices are counted. Without a terminal there is no bar. */
export function openProgress(
  total: number | undefined,
  stream: NodeJS.WriteStream = process.stderr,
): Progress {
  const bar = new SingleBar({
    format: total === undefined ? '{devices} devices' : '{bar} {percentage} %  {devices} devices',
    stream,
    clearOnComplete: true,
    // With it the first Ctrl-C would end the bar and nothing else.
    gracefulExit: false,
  })
  bar.start(total ?? 0, 0, { devices: 0 })
  return {
    advance: (bytes, devices) => bar.increment(bytes, { devices }),
    note: line => stream.write(`${stream.isTTY ? ERASE_LINE : ''}${visible(line)}\n`),
    stop: () => bar.stop(),
  }
}
