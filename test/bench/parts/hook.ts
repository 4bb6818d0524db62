/** The plugin in a process of its own, driven by its `delivered` hook as Haraka drives it, with mails that never were. */

import type { DeliveredParams, Hmail, Plugin } from '../../../plugins/xaps/haraka/types.ts'
import { haraka_ready, mail_delivered, register } from '../../../plugins/xaps.ts'
import { servePart } from '../part.ts'
import { deviceOf, userName } from '../site.ts'
import { pace } from '../work.ts'
import type { Stamp } from './outside.ts'

const nothing = (): void => undefined

/** The `this` of a plugin's hooks in Haraka, at a log level where no line of ours is written. */
const plugin: Plugin = {
  config: { get: () => ['example.com'] },
  register_hook: nothing,
  logdebug: nothing,
  loginfo: nothing,
  lognotice: nothing,
  logwarn: text => console.error(text),
  logerror: text => console.error(text),
}

const api = servePart({
  /** Starts the plugin in Haraka directory `dir` and connects it to store and Apple. */
  open({ dir }: { dir: string }) {
    process.env.HARAKA = dir
    register.call(plugin)
    haraka_ready.call(plugin, nothing)
  },
  /**
   * Hands `count` mails, the first of them to user number `from`, to the hook at `perSecond`. Resolves with the time
   * just before each call.
   */
  async deliver({ from, count, perSecond }: { from: number; count: number; perSecond: number }) {
    const stamps: Stamp[] = []
    await pace(count, perSecond, index => {
      const [hmail, params] = mailTo(from + index)
      stamps.push([deviceOf(from + index).token, performance.timeOrigin + performance.now()])
      mail_delivered.call(plugin, nothing, hmail, params)
    })
    return stamps
  },
})

export type Hook = typeof api

function mailTo(index: number): [Hmail, DeliveredParams] {
  const [user = '', host = ''] = userName(index).split('@')
  const recipients = [{ user, host }]
  const response = `<${user}@${host}> id Saved`
  return [
    { todo: { rcpt_to: recipients } },
    ['127.0.0.1', '127.0.0.1', response, 0.01, 24, 'LMTP', recipients],
  ]
}
