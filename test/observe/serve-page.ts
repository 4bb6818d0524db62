/** The status page on a real HTTP listener, for a browser: with the overview of a day, and of another one when it is told. */

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../../plugins/xaps/base/clock.ts'
import { systemClock } from '../../plugins/xaps/base/clock.ts'
import type { Overview } from '../../plugins/xaps/observe/overview.ts'
import { makeHttpServer } from '../../plugins/xaps/registration/http-server.ts'
import { HTTP } from '../registration/http-listener.ts'
import { makeListener } from '../registration/listeners.ts'

export interface ServedPage {
  readonly url: string
  /** What is shown from the next message on. */
  overview: () => Overview
  close(): Promise<void>
}

/** On a port that is free, or on `port`. */
export async function servePage(
  overview: () => Overview,
  { clock = systemClock, port = 0 }: { readonly clock?: Clock; readonly port?: number } = {},
): Promise<ServedPage> {
  const metrics = () => Promise.resolve('')
  const view = { overview: () => served.overview(), metrics }
  const { server, close } = makeHttpServer({ ...HTTP, ...makeListener({ clock }).parts, view }, clock)
  await once(server.listen(port, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const served: ServedPage = { url, overview, close: () => close(0) }
  return served
}
