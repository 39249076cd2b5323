import { MessageError } from '../../contract/index.ts'
import type { Logger } from '../../contract/index.ts'
import { wholeNumber } from '../../core/index.ts'
import { MAX_TIMER_MS } from '../../util/abort.ts'
import { messageOf, show } from '../../util/show.ts'
import { AllowedHosts } from './allowed-hosts.ts'
import { retryAfterMs } from './retry-after.ts'
import { webhookKey, webhookSignature } from './webhook-signature.ts'

export interface WebhookSenderOptions {
  /**
   * Signs what is sent, as Standard Webhooks says: base64, with or without `whsec_` before it. Other text is taken as its
   * UTF-8 bytes. Without a secret nothing is signed.
   */
  readonly secret?: string | undefined
  /**
   * Milliseconds for an attempt, until the status is there.
   *
   * @defaultValue `10_000`
   */
  readonly timeoutMs?: number | undefined
  /**
   * Hosts that may be named: `example.com`, or `*.example.com` for all below it. None: any host, also one that only this
   * machine can reach. Name them where callers are not trusted.
   */
  readonly allowedHosts?: readonly string[] | undefined
  /** Is told of every failed attempt, at level `debug`. */
  readonly logger: Logger
}

export interface WebhookRequest {
  readonly url: string
  /** The same for every attempt, so that the receiver knows what it has seen. Visible ASCII characters, at most 256. */
  readonly id: string
  /** JSON. */
  readonly body: string
  /** Gives the attempt up. */
  readonly signal?: AbortSignal | undefined
}

export interface WebhookAttempt {
  /** `again`: another attempt may help. `never`: it would not. */
  readonly outcome: 'delivered' | 'again' | 'never'
  /** Of the answer, if there was one. */
  readonly status?: number
  /** Why it was not delivered; fit to be shown to whoever gave the URL. */
  readonly error?: string
  /** The server asks not to be called again for so many milliseconds; one hour at most. */
  readonly retryAfterMs?: number
}

const MAX_URL_LENGTH = 2_048
/** Client errors that pass: time-out, too early, too many requests. */
const PASSING = new Set([408, 425, 429])

/** Why an attempt ended before there was an answer. */
interface Ended {
  readonly by: 'timeout' | 'signal'
}

/** Tells a URL of the outcome of a job, by one POST per attempt. When to try again is up to the caller. */
export class WebhookSender {
  readonly #key: Buffer | undefined
  readonly #timeoutMs: number
  readonly #hosts: AllowedHosts
  readonly #logger: Logger

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for a bad option. */
  constructor({ secret, timeoutMs = 10_000, allowedHosts = [], logger }: WebhookSenderOptions) {
    this.#key = secret === undefined ? undefined : webhookKey(secret)
    this.#timeoutMs = Math.min(wholeNumber('timeoutMs', timeoutMs, 1), MAX_TIMER_MS)
    this.#hosts = new AllowedHosts(allowedHosts)
    this.#logger = logger
  }

  /**
   * The URL of a webhook, as it is going to be used.
   *
   * @throws {MessageError} `KIQ_ARGUMENTS_INVALID` unless it is an absolute `http:` or `https:` URL of at most 2,048
   * characters, without a user name or password, and with a host that is allowed.
   */
  assertUrl(url: unknown): string {
    if (typeof url !== 'string' || !URL.canParse(url)) throw badUrl(`is ${show(url)}`, 'Use an absolute URL')
    if (url.length > MAX_URL_LENGTH) {
      throw badUrl(`has ${url.length} characters`, `Use at most ${MAX_URL_LENGTH}`)
    }
    const parsed = new URL(url)
    if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') {
      throw badUrl(`begins with ${show(parsed.protocol)}`, 'Use http: or https:')
    }
    // Neither is shown: a password is in it.
    if (parsed.username !== '' || parsed.password !== '') {
      throw badUrl('has a user name or a password', 'Leave them out; the signature tells who sent it')
    }
    if (!this.#hosts.has(parsed)) {
      throw badUrl(`has host ${show(parsed.hostname)}, which is not allowed`, 'Use one that the service allows')
    }
    return parsed.href
  }

  /**
   * Sends it once, and never rejects. Redirects are not followed: they could lead to a host that is not allowed. The body
   * of the answer is not read.
   */
  async attempt(request: WebhookRequest): Promise<WebhookAttempt> {
    let attempt: WebhookAttempt
    let cause: unknown
    try {
      const url = this.assertUrl(request.url)
      const headers = this.#headers(request)
      attempt = await this.#post(url, headers, request)
    } catch (error) {
      cause = error
      attempt = attemptOf(error, this.#timeoutMs)
    }
    if (attempt.outcome !== 'delivered') this.#note(request.id, attempt, cause)
    return attempt
  }

  #headers({ id, body }: WebhookRequest): Headers {
    if (!/^[!-~]{1,256}$/.test(id)) {
      throw new MessageError(
        'KIQ_ARGUMENTS_INVALID',
        `The id of a webhook is ${show(id)}. Use 1 to 256 visible ASCII characters.`,
      )
    }
    const timestamp = Math.floor(Date.now() / 1_000)
    const headers = new Headers({
      'content-type': 'application/json',
      'user-agent': 'kiq',
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
    })
    if (this.#key !== undefined) {
      headers.set('webhook-signature', webhookSignature(this.#key, { id, timestamp, body }))
    }
    return headers
  }

  async #post(url: string, headers: Headers, { body, signal }: WebhookRequest): Promise<WebhookAttempt> {
    const end = new AbortController()
    const giveUp = (): void => end.abort({ by: 'signal' } satisfies Ended)
    if (signal?.aborted) giveUp()
    const timer = setTimeout(() => end.abort({ by: 'timeout' } satisfies Ended), this.#timeoutMs)
    signal?.addEventListener('abort', giveUp, { once: true })
    try {
      const response = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal: end.signal })
      // It may be without end. That the connection is closed then needs no answer.
      response.body?.cancel().catch(() => undefined)
      return judge(response.status, response.headers.get('retry-after'))
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', giveUp)
    }
  }

  #note(id: string, attempt: WebhookAttempt, cause: unknown): void {
    try {
      this.#logger.debug({ webhook: id, ...attempt, err: cause }, 'A webhook was not delivered.')
    } catch {
      // A logger that throws must not make `attempt` reject.
    }
  }
}

function judge(status: number, retryAfter: string | null): WebhookAttempt {
  if (status >= 200 && status < 300) return { outcome: 'delivered', status }
  if (status >= 300 && status < 400) {
    return { outcome: 'never', status, error: `The server redirects (${status}). Give the URL that it redirects to.` }
  }
  const error = `The server answered ${status}.`
  if (status < 500 && !PASSING.has(status)) return { outcome: 'never', status, error }
  const ms = retryAfterMs(retryAfter, Date.now())
  return { outcome: 'again', status, error, ...(ms === undefined ? {} : { retryAfterMs: ms }) }
}

/**
 * Of what was thrown before there was an answer. Of an error in the network only its code is told, since the text has
 * addresses that are nobody's business.
 */
function attemptOf(error: unknown, timeoutMs: number): WebhookAttempt {
  if (error instanceof MessageError) return { outcome: 'never', error: messageOf(error) }
  const ended = endedBy(error)
  if (ended === 'timeout') return { outcome: 'again', error: `The server did not answer within ${timeoutMs} ms.` }
  if (ended === 'signal') return { outcome: 'again', error: 'The attempt was given up before there was an answer.' }
  const { cause } = error instanceof Error ? error : {}
  // Ports of mail servers and the like: `fetch` never calls them.
  if (cause instanceof Error && cause.message === 'bad port') {
    return { outcome: 'never', error: 'The port of the URL is one that HTTP does not use. Use another one.' }
  }
  const code = cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? ` (${cause.code})` : ''
  return { outcome: 'again', error: `The server cannot be reached${code}.` }
}

function endedBy(error: unknown): Ended['by'] | undefined {
  if (typeof error !== 'object' || error === null || !('by' in error)) return undefined
  return error.by === 'timeout' || error.by === 'signal' ? error.by : undefined
}

function badUrl(what: string, remedy: string): MessageError {
  return new MessageError('KIQ_ARGUMENTS_INVALID', `The URL of a webhook ${what}. ${remedy}.`)
}
