/**
 * Apple's demands on every request: "Sending notification requests to APNs". Pure: headers and body
 * in, a reason out. Of credentials it knows the topics that they allow.
 */

import type { IncomingHttpHeaders } from 'node:http2'
import type { Reason } from './reasons.ts'

export const PAYLOAD_LIMIT = 4096
const COLLAPSE_ID_LIMIT = 64
const PATH = '/3/device/'

const PUSH_TYPE =
  /^(alert|background|complication|controls|fileprovider|liveactivity|location|mdm|pushtotalk|voip|widgets)$/

/** What credentials allow. */
export interface Grant {
  /** Undefined: any. */
  readonly topics: readonly string[] | undefined
  /** The topic of a push that names none; undefined: it must name one. */
  readonly standard: string | undefined
}

/** The device token in the path, as it was sent; empty when there is none. */
export function tokenIn(path: string): string {
  return path.startsWith(PATH) ? path.slice(PATH.length) : ''
}

/** What is wrong with the method or the path. */
export function wrongTarget(headers: IncomingHttpHeaders): Reason | undefined {
  const path = headers[':path'] ?? ''
  if (!path.startsWith(PATH)) return 'BadPath'
  if (headers[':method'] !== 'POST') return 'MethodNotAllowed'
  const token = tokenIn(path)
  if (token === '') return 'MissingDeviceToken'
  return isDeviceToken(token) ? undefined : 'BadDeviceToken'
}

/** Hex, at least 16 and at most 100 bytes: Apple fixes no size, 32 bytes are usual, 100 its documented maximum. */
function isDeviceToken(token: string): boolean {
  return token.length % 2 === 0 && /^[0-9a-f]{32,200}$/i.test(token)
}

/** Whether a well-formed token is no phone's for certain. Apple says so only when all else is right. */
export function isNoPhones(token: string): boolean {
  return /^0+$/.test(token)
}

/** What is wrong with the headers other than topic and credentials. */
export function wrongHeader(headers: IncomingHttpHeaders): Reason | undefined {
  if (!PUSH_TYPE.test(String(headers['apns-push-type']))) return 'InvalidPushType'
  if (!absentOr(/^(1|5|10)$/, headers['apns-priority'])) return 'BadPriority'
  if (!absentOr(/^\d{1,10}$/, headers['apns-expiration'])) return 'BadExpirationDate'
  if (!absentOr(UUID, headers['apns-id'])) return 'BadMessageId'
  const collapseId = headers['apns-collapse-id']
  return collapseId !== undefined && collapseId.length > COLLAPSE_ID_LIMIT ? 'BadCollapseId' : undefined
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export function isUuid(text: string): boolean {
  return UUID.test(text)
}

function absentOr(pattern: RegExp, value: string | string[] | undefined): boolean {
  return value === undefined || (typeof value === 'string' && pattern.test(value))
}

/** What is wrong with the topic; only a certificate with a single topic lets the header be left out. */
export function wrongTopic(topic: string | undefined, { topics, standard }: Grant): Reason | undefined {
  if (topic === undefined || topic === '') return standard === undefined ? 'MissingTopic' : undefined
  if (!/^[\w.-]{1,255}$/.test(topic)) return 'BadTopic'
  return topics === undefined || topics.includes(topic) ? undefined : 'TopicDisallowed'
}

/** The payload of a push, or what is wrong with it. `size` is that of the whole body, of which `body` may be less. */
export function readPayload(body: Buffer, size: number): Readonly<Record<string, unknown>> | Reason {
  if (size > PAYLOAD_LIMIT) return 'PayloadTooLarge'
  const payload = json(body)
  return isObject(payload) && isObject(payload.aps) ? payload : 'PayloadEmpty'
}

function json(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
