import { STATUS_CODES } from 'node:http'

import type { ContentfulStatusCode } from 'hono/utils/http-status'

import { KiqError } from '../../contract/index.ts'
import type { ErrorCode } from '../../contract/index.ts'
import { BusyError } from '../busy-error.ts'
import { InvalidInputError } from '../invalid-input.ts'
import type { InputIssue } from '../invalid-input.ts'
import type { Call } from './environment.ts'

/** An answer that is no success, as a problem document of RFC 9457. */
export interface Problem {
  readonly status: number
  readonly detail: string
  readonly code?: ErrorCode | undefined
  readonly errors?: readonly InputIssue[] | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** Something is wrong with the request itself. */
export class HttpError extends Error {
  readonly problem: Problem

  constructor(status: number, detail: string, headers?: Readonly<Record<string, string>>) {
    super(detail)
    this.problem = { status, detail, headers }
  }
}

/** Whoever asked has gone: nobody reads the answer. Nginx's number for it. */
export const CLIENT_GONE = 499

/** The request was given up because its client has gone. */
export class ClientGoneError extends Error {
  constructor() {
    super('The client has closed the connection.')
  }
}

/** Sentences for what may leave the service; the text of the errors themselves is for its log. */
const KNOWN: Readonly<Partial<Record<ErrorCode, Omit<Problem, 'code'>>>> = {
  KIQ_SERVE_STOPPING: {
    status: 503,
    detail: 'The model takes no requests now: the service starts or stops. Try again, or ask another server.',
    headers: { 'retry-after': '1' },
  },
  KIQ_SERVE_TIMED_OUT: {
    status: 504,
    detail: 'The request was not done in time. Send less at once, or allow more time.',
  },
  KIQ_SERVE_WORKER_DIED: {
    status: 503,
    detail: 'The process that ran the model ended before this input was done, also when it was tried again.',
    headers: { 'retry-after': '1' },
  },
  KIQ_SEND_FAILED: {
    status: 503,
    detail: 'The job could not be accepted: what keeps the jobs cannot be reached. Try again.',
    headers: { 'retry-after': '5' },
  },
  KIQ_SEND_TIMED_OUT: {
    status: 503,
    detail: 'The job was not accepted in time. With an Idempotency-Key it is safe to send it again.',
    headers: { 'retry-after': '5' },
  },
  KIQ_RESULT_BACKEND_FAILED: {
    status: 503,
    detail: 'The record of the job cannot be read or written now. Try again.',
    headers: { 'retry-after': '5' },
  },
}

/** Codes whose errors are about the request, so that their text is for its sender. */
const TOLD: Readonly<Partial<Record<ErrorCode, number>>> = {
  KIQ_ARGUMENTS_INVALID: 422,
  KIQ_SERVE_MODEL_UNKNOWN: 404,
  KIQ_SERVE_JOB_UNKNOWN: 404,
  KIQ_SERVE_JOB_STATE: 409,
  KIQ_SERVE_KEY_REUSED: 422,
  KIQ_UNSUPPORTED: 501,
}

/** What a client is told of an error, and whether the log should have it, too. */
export function problemOf(error: unknown, requestId: string): Problem & { readonly isInternal: boolean } {
  if (error instanceof HttpError) return { ...error.problem, isInternal: false }
  if (error instanceof ClientGoneError) return { status: CLIENT_GONE, detail: error.message, isInternal: false }
  if (error instanceof BusyError) {
    return {
      status: 429,
      code: 'KIQ_SERVE_BUSY',
      detail: 'Too many requests wait for this model. Try again after the time in `Retry-After`.',
      headers: { 'retry-after': String(Math.ceil(error.retryAfterMs / 1_000)) },
      isInternal: false,
    }
  }
  if (error instanceof KiqError) {
    const known = KNOWN[error.code]
    if (known !== undefined) return { ...known, code: error.code, isInternal: false }
    const status = TOLD[error.code]
    if (status !== undefined) {
      const errors = error instanceof InvalidInputError ? error.issues : undefined
      return { status, code: error.code, detail: error.message, errors, isInternal: false }
    }
  }
  return {
    status: 500,
    detail: `The model failed for this input. The log of the service has the cause, under request ${requestId}.`,
    isInternal: true,
  }
}

export function problemResponse(c: Call, { status, detail, code, errors, headers }: Problem): Response {
  // Of Hono's types for statuses those of informational answers are left out, which no problem has.
  return c.body(problemText({ status, detail, code, errors }), status as ContentfulStatusCode, {
    'content-type': 'application/problem+json',
    ...headers,
  })
}

export function problemText({ status, detail, code, errors }: Problem): string {
  const title = STATUS_CODES[status] ?? 'Client Closed Request'
  return JSON.stringify({ type: 'about:blank', title, status, detail, code, errors })
}
