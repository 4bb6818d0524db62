/**
 * What an operator can do about Apple's "no" to credentials, topic, environment or token. One table, from Apple's "Handling
 * notification responses from APNs" and from what operators of mail report; docs/credentials.md has the long form.
 */

import type { Credentials } from './credentials.ts'
import type { Verdict } from './verdict.ts'

const NO_P8 =
  'this is a .p8 key: the one operator who documents push for mail says that Apple refuses it for mail topics; ' +
  'use the certificate of the App ID that Apple granted'

const OTHER_ENVIRONMENT =
  'the credentials are not for what [apns] environment says (production or sandbox): change it, or make them again'

const NO_CERTIFICATE =
  'Apple takes only a push certificate that it issued itself, that has not ended and was not revoked: ' +
  'make it again for the App ID that Apple granted'

const OTHER_TOPICS = 'the certificate is for other topics: leave [apns] topic empty, it is in the certificate'

/** The table: kind of credentials and Apple's reason, or the reason alone where the kind does not matter. */
const ADVICE: Readonly<Record<string, string>> = {
  BadDeviceToken:
    'no phone has this token at this Apple: tokens of Apple Mail are for [apns] environment = production; a phone that registers again brings its own',
  DeviceTokenNotForTopic:
    "the phone registered for another topic than these credentials': it registers again within a day",
  'certificate BadTopic': '[apns] topic is no topic: leave it empty, it is in the certificate',
  'certificate TopicDisallowed': OTHER_TOPICS,
  'certificate BadCertificateEnvironment': OTHER_ENVIRONMENT,
  'certificate BadCertificate': NO_CERTIFICATE,
  'certificate Forbidden': NO_CERTIFICATE,
  'certificate MissingProviderToken': NO_CERTIFICATE,
  'token BadTopic': '[apns] topic is no topic: expected the App ID that Apple granted',
  'token TopicDisallowed': NO_P8,
  'token BadEnvironmentKeyIdInToken': OTHER_ENVIRONMENT,
  'token BadEnvironmentKeyInToken': OTHER_ENVIRONMENT,
  'token ExpiredProviderToken': "is this host's clock right? Apple calls a key's signature of today too old",
  'token InvalidProviderToken': `do key_id and team_id belong to the key, and is this host's clock right? And ${NO_P8}`,
  'token Forbidden': NO_P8,
  'token MissingProviderToken': NO_P8,
  'token UnrelatedKeyIdInToken': NO_P8,
}

/**
 * A sentence for the operator, where something can be done about the verdict on a push with credentials of this kind. `own`:
 * the topics of the certificate, which it names where they matter.
 */
export function adviceFor(
  { reason }: Verdict,
  kind: Credentials['auth']['kind'],
  own: readonly string[] = [],
): string | undefined {
  const advice = ADVICE[`${kind} ${reason}`] ?? ADVICE[reason]
  return advice === OTHER_TOPICS && own.length > 0 ? `${advice} (${own.join(', ')})` : advice
}
