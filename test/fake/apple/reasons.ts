/**
 * Apple's reasons and the status that each comes with, as in "Handling notification responses from APNs".
 */

export const REASONS = {
  BadCollapseId: 400,
  BadDeviceToken: 400,
  BadExpirationDate: 400,
  BadMessageId: 400,
  BadPriority: 400,
  BadTopic: 400,
  DeviceTokenNotForTopic: 400,
  DuplicateHeaders: 400,
  IdleTimeout: 400,
  InvalidPushType: 400,
  MissingDeviceToken: 400,
  MissingTopic: 400,
  PayloadEmpty: 400,
  TopicDisallowed: 400,
  BadCertificate: 403,
  BadCertificateEnvironment: 403,
  BadEnvironmentKeyIdInToken: 403,
  ExpiredProviderToken: 403,
  Forbidden: 403,
  InvalidProviderToken: 403,
  MissingProviderToken: 403,
  UnrelatedKeyIdInToken: 403,
  BadPath: 404,
  MethodNotAllowed: 405,
  ExpiredToken: 410,
  Unregistered: 410,
  PayloadTooLarge: 413,
  TooManyProviderTokenUpdates: 429,
  TooManyRequests: 429,
  InternalServerError: 500,
  ServiceUnavailable: 503,
  Shutdown: 503,
} as const

export type Reason = keyof typeof REASONS

/** Apple's "no". */
export interface Refusal {
  readonly status: number
  readonly reason: string
  /** Milliseconds since the epoch: since when the token is no longer valid. */
  readonly timestamp?: number
  /** Seconds, for a Retry-After header. */
  readonly retryAfter?: number
}

/** The refusal that Apple gives for `reason`, with its status. */
export function refusal(reason: Reason): Refusal {
  return { status: REASONS[reason], reason }
}

export function isReason(text: string): text is Reason {
  return Object.hasOwn(REASONS, text)
}
