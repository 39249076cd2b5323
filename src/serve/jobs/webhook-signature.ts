import { createHmac, timingSafeEqual } from 'node:crypto'

import { ConfigError } from '../../contract/index.ts'

/** What the `headers` of a request are: `Headers`, or the object that `node:http` gives. */
export type WebhookHeaders =
  { get(name: string): string | null } | Readonly<Record<string, string | readonly string[] | undefined>>

export interface VerifyWebhookOptions {
  /** The secret that the service has, with or without `whsec_`. */
  readonly secret: string
  readonly headers: WebhookHeaders
  /** As it came, before it is parsed: another spelling of the same JSON has another signature. */
  readonly body: string | Uint8Array
  /**
   * Seconds that the request may be older or newer than now; ≥ 0.
   *
   * @defaultValue `300`
   */
  readonly toleranceSeconds?: number | undefined
  /**
   * Milliseconds since the epoch.
   *
   * @defaultValue now
   */
  readonly now?: number | undefined
}

/** What is signed. */
export interface WebhookContent {
  readonly id: string
  /** Seconds since the epoch. */
  readonly timestamp: number | string
  readonly body: string | Uint8Array
}

const PREFIX = 'whsec_'
const VERSION = 'v1,'
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
/** Signatures looked at; a sender has one per secret, and changes secrets seldom. */
const MAX_SIGNATURES = 20
const SIGNATURE_BYTES = 32

/**
 * Whether a request was sent by a service with this secret, lately and unchanged. For those who receive webhooks of Kiq,
 * or of any other sender that keeps to Standard Webhooks.
 *
 * A request that is sent again has the same `webhook-id`; whoever must not handle it twice has to remember that.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` for an empty secret: with that everybody could sign.
 * @example
 * ```ts
 * const body = await request.text()
 * if (!verifyWebhook({ secret, headers: request.headers, body })) return new Response(null, { status: 401 })
 * ```
 */
export function verifyWebhook(options: VerifyWebhookOptions): boolean {
  const { secret, headers, body, toleranceSeconds = 300, now = Date.now() } = options
  const key = webhookKey(secret)
  const id = headerOf(headers, 'webhook-id')
  const timestamp = headerOf(headers, 'webhook-timestamp')
  if (id === '' || !/^\d{1,15}$/.test(timestamp)) return false
  // Written so that a tolerance that is not a number refuses.
  if (!(Math.abs(Math.floor(now / 1_000) - Number(timestamp)) <= toleranceSeconds)) return false

  const expected = signatureBytes(key, { id, timestamp, body })
  let isRight = false
  for (const one of headerOf(headers, 'webhook-signature').split(' ').slice(0, MAX_SIGNATURES)) {
    if (!one.startsWith(VERSION)) continue
    const given = Buffer.from(one.slice(VERSION.length), 'base64')
    if (given.length === SIGNATURE_BYTES && timingSafeEqual(given, expected)) isRight = true
  }
  return isRight
}

/** Value of the header `webhook-signature`. */
export function webhookSignature(key: Buffer, content: WebhookContent): string {
  return VERSION + signatureBytes(key, content).toString('base64')
}

/**
 * Bytes of a secret: base64 after an optional `whsec_`; text that is no base64 is taken as it is.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` for an empty secret.
 */
export function webhookKey(secret: string): Buffer {
  const text = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret
  if (text === '') {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      'The secret for webhooks is empty. Use 24 to 64 random bytes as base64, such as `openssl rand -base64 32` gives.',
    )
  }
  return Buffer.from(text, BASE64.test(text) ? 'base64' : 'utf8')
}

function signatureBytes(key: Buffer, { id, timestamp, body }: WebhookContent): Buffer {
  return createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest()
}

/** Empty when there is none. */
function headerOf(headers: WebhookHeaders, name: string): string {
  if (hasGet(headers)) return headers.get(name) ?? ''
  const found = Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1]
  return typeof found === 'string' ? found : (found?.join(' ') ?? '')
}

function hasGet(headers: WebhookHeaders): headers is { get(name: string): string | null } {
  return 'get' in headers && typeof headers.get === 'function'
}
