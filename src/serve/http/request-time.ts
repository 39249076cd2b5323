import { KiqError } from '../../contract/index.ts'
import type { Call } from './environment.ts'
import { ClientGoneError, HttpError } from './problem.ts'

/** For how long somebody waits for a request. */
export interface RequestTime {
  /** Aborts when the client has gone, or when the time is over. */
  readonly signal: AbortSignal
  /** Gives up, with that reason. */
  abort(reason: unknown): void
  /** Call it when the request is done. */
  end(): void
}

/**
 * The time of a request: what `x-request-timeout` says, at most that of the service; less when its client goes.
 *
 * @throws {HttpError} 400 for a header that is no number of seconds.
 */
export function requestTime(c: Call, maxSeconds: number): RequestTime {
  const seconds = Math.min(wantedSeconds(c) ?? maxSeconds, maxSeconds)
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(timedOut(seconds)), seconds * 1_000)
  const { outgoing } = c.env as Partial<Call['env']>
  const onClose = (): void => {
    if (outgoing?.writableFinished === false) controller.abort(new ClientGoneError())
  }
  const onAbort = (): void => controller.abort(new ClientGoneError())
  // Asking the request itself for its signal costs a whole request object with Node's server.
  if (outgoing) outgoing.once('close', onClose)
  else c.req.raw.signal.addEventListener('abort', onAbort, { once: true })
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    end: () => {
      clearTimeout(timer)
      if (outgoing) outgoing.off('close', onClose)
      else c.req.raw.signal.removeEventListener('abort', onAbort)
    },
  }
}

function wantedSeconds(c: Call): number | undefined {
  const text = c.req.header('x-request-timeout')
  if (text === undefined) return undefined
  const seconds = Number(text)
  if (/^\d+(\.\d+)?$/.test(text) && seconds > 0) return seconds
  throw new HttpError(400, `x-request-timeout is ${JSON.stringify(text)}. Use seconds > 0, for example 2.5.`)
}

function timedOut(seconds: number): KiqError {
  return new KiqError(
    'KIQ_SERVE_TIMED_OUT',
    `The request was not done within ${seconds} s. Send a longer x-request-timeout, or raise \`http_config.request_timeout\`.`,
  )
}
