/** Haraka's logger as our Log. */

import type { Plugin } from './haraka.ts'
import type { Log } from './log.ts'

type Logger = Pick<Plugin, 'logdebug' | 'loginfo' | 'lognotice' | 'logwarn' | 'logerror'>

/** Lines appear as `[INFO] [-] [xaps] message key=value`. Fields that are not there must not be passed: Haraka prints them. */
export function harakaLog(plugin: Logger): Log {
  return {
    debug: (message, ...fields) => plugin.logdebug(message, ...fields),
    info: (message, ...fields) => plugin.loginfo(message, ...fields),
    notice: (message, ...fields) => plugin.lognotice(message, ...fields),
    warn: (message, ...fields) => plugin.logwarn(message, ...fields),
    error: (message, ...fields) => plugin.logerror(message, ...fields),
  }
}
