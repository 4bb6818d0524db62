/** Haraka's logger as our Log. */

import { type Fields, type Level, type Log, visible } from '../base/log.ts'
import type { Plugin } from './types.ts'

type Logger = Pick<Plugin, 'logdebug' | 'loginfo' | 'lognotice' | 'logwarn' | 'logerror'>

/** Lines appear as `[INFO] [-] [xaps] message key=value`. Fields that are not there must not be passed: Haraka prints them. */
export function harakaLog(plugin: Logger): Log {
  const at = (level: Level) => (message: string, fields?: Fields) => {
    if (fields) plugin[`log${level}`](visible(message), visibleFields(fields))
    else plugin[`log${level}`](visible(message))
  }
  return { debug: at('debug'), info: at('info'), notice: at('notice'), warn: at('warn'), error: at('error') }
}

function visibleFields(fields: Fields): Fields {
  const shown = ([key, value]: [string, Fields[string]]) =>
    [key, typeof value === 'string' ? visible(value) : value] as const
  return Object.fromEntries(Object.entries(fields).map(shown))
}
