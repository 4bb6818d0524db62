/** Checks of the other ways in: the addresses of HTTP, the socket for events, and the ones that Dovecot is told. */

import { execFile } from 'node:child_process'
import http from 'node:http'
import net from 'node:net'
import { promisify } from 'node:util'
import { isWildcard, parseTcpAddress } from '../../base/addresses.ts'
import { within } from '../../base/deadline.ts'
import { reasonOf } from '../../base/log.ts'
import { type Config, pathIn } from '../../config/config.ts'
import { STORE_HEADER } from '../../registration/http-server.ts'
import { storeWord } from '../../state.ts'
import { checkAccess, hintToStart } from './companion.ts'
import { type Finding, fail, ok, warn } from './finding.ts'
import { listenerOn, realOrSame } from './processes.ts'

const ANSWER_MS = 1_000

interface Health {
  readonly status: number
  /** Missing where no companion answers. */
  readonly store: string | undefined
  readonly body: string
}

/** `isUp`: a companion answers at the Unix socket. */
export async function checkAddress(config: Config, address: string, isUp: boolean): Promise<Finding> {
  const { port } = parseTcpAddress(address)
  const where = `HTTP at ${address}`
  try {
    return judge(config, where, port, await health(address))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ECONNREFUSED')
      return isUp
        ? fail(
            `${where}: nothing listens there, though a companion runs: restart it; the log says "cannot listen" with the reason`,
          )
        : warn(`${where}: nothing listens there; ${hintToStart(config)}`)
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'ENETUNREACH')
      return fail(
        `${where}: this machine does not have the address (${code}); set [registration] listen to one of its own (ip address)`,
      )
    return taken(where, port, reasonOf(error))
  }
}

function judge(config: Config, where: string, port: number, { status, store, body }: Health): Finding {
  if (store === undefined) return taken(where, port, `status ${status} without a word of a companion's`)
  if (store !== storeWord(config))
    return fail(
      `${where}: a companion with another store answers (${listenerOn(port) ?? `port ${port}`}): restart it after a change, or give each a [registration] listen of its own`,
    )
  return status === 200
    ? ok(`${where}: a companion with this store answers`)
    : fail(`${where}: the companion has no store at the moment: ${body.trim()}`)
}

function taken(where: string, port: number, reason: string): Finding {
  const by = listenerOn(port) ?? `ss -ltnp 'sport = :${port}' names it`
  return fail(
    `${where}: something else has the port, ${by} (${reason}): stop it, or set [registration] listen and Dovecot's URL to another port`,
  )
}

function health(address: string): Promise<Health> {
  const { host, port } = parseTcpAddress(address)
  const to = isWildcard(host) ? (net.isIPv6(host) ? '::1' : '127.0.0.1') : host
  const asked = new Promise<Health>((resolve, reject) => {
    const request = http.get({ host: to, port, path: '/healthz', agent: false, timeout: ANSWER_MS })
    request.on('error', reject).on('timeout', () => request.destroy(new Error('no answer within a second')))
    request.on('response', response => {
      const [store] = [response.headers[STORE_HEADER.toLowerCase()]].flat()
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body = (body + chunk).slice(0, 200)
      })
      response.on('error', reject).on('end', () => resolve({ status: response.statusCode ?? 0, store, body }))
    })
  })
  return within(asked, 2 * ANSWER_MS, 'it')
}

/** Dovecot's exporter reads nothing from this socket, so it can only be seen to take connections. */
export async function checkEventsSocket(config: Config, isUp: boolean): Promise<Finding[]> {
  const where = pathIn(config, config.delivery.eventsSocket)
  if (where === '') return []
  const socket = net.connect(where)
  const connected = new Promise<void>((resolve, reject) => socket.on('error', reject).on('connect', resolve))
  try {
    await within(connected, ANSWER_MS, 'it')
    return [ok(`events socket ${where}: takes connections`), ...checkAccess(config, where)]
  } catch (error) {
    const text = `events socket ${where}: ${reasonOf(error)}`
    return [
      isUp
        ? fail(`${text}; restart the companion, whose log says why`)
        : warn(`${text}; ${hintToStart(config)}`),
    ]
  } finally {
    socket.destroy()
  }
}

/** The default of st3fan's plugin. */
const PLUGIN_SOCKET = '/var/run/dovecot/xapsd.sock'

/** Whether Dovecot, where it is on this host and has an XAPS plugin, is told a place at which the companion listens. */
export async function checkDovecot({ registration, ...config }: Config): Promise<Finding[]> {
  const told = await settingsOfDovecot()
  if (told === undefined) return []
  const url = /^\s*(?:xaps_config\s*=.*\burl=|xaps_url\s*=\s*)http:\/\/([^\s/"]+)/m.exec(told)?.[1]
  if (url !== undefined) return [checkUrl(registration.listen, url)]
  const [, given] = /^\s*xaps_socket\s*=\s*"?([^\s"]+)/m.exec(told) ?? []
  // A plugin that is told nothing may be one that speaks HTTP.
  if (given === undefined && registration.listen.length > 0) return []
  const socket = given ?? PLUGIN_SOCKET
  if (realOrSame(pathIn(config, registration.socket)) === realOrSame(socket))
    return [ok(`Dovecot's plugin connects to ${socket}`)]
  const how = given === undefined ? ', since xaps_socket is not set' : ''
  return [
    fail(
      `Dovecot's plugin connects to ${socket} (doveconf -n)${how}, and [registration] socket = ${registration.socket}: set the same in both`,
    ),
  ]
}

function checkUrl(listen: readonly string[], url: string): Finding {
  const port = Number(/:(\d+)$/.exec(url)?.[1] ?? 80)
  if (listen.some(address => parseTcpAddress(address).port === port))
    return ok(`Dovecot's plugin connects to ${url}`)
  return fail(
    `Dovecot's plugin connects to ${url} (doveconf -n), and [registration] listen = ${listen.join(', ')}: set the same address in both`,
  )
}

/** Dovecot's settings; undefined where there is no Dovecot here, it cannot be asked, or no XAPS plugin is set up. */
async function settingsOfDovecot(): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)('doveconf', ['-n'], { timeout: 5_000 })
    return /^\s*push_notification_driver\d*\s*=\s*xaps\b|^\s*driver\s*=\s*xaps\b/m.test(stdout)
      ? stdout
      : undefined
  } catch {
    return undefined
  }
}
