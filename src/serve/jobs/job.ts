import type { OutputEnvelope } from '../output-envelope.ts'

export type JobState = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled'

/** What became of the message to the queue of the outcome. */
export interface JobQueue {
  readonly name: string
  readonly state: 'sent' | 'failed'
  readonly attempts: number
  readonly error: string | null
}

/** What became of the webhook. */
export interface JobWebhook {
  readonly url: string
  readonly state: 'pending' | 'delivered' | 'failed'
  readonly attempts: number
  /** Why the last attempt failed. */
  readonly error: string | null
}

/** A job as callers see it: names and values as they are sent. Times are ISO 8601. */
export interface Job {
  readonly job_id: string
  readonly model_name: string
  readonly state: JobState
  readonly created_at: string
  readonly started_at: string | null
  readonly finished_at: string | null
  readonly duration_ms: number | null
  /** Executions so far, the one under way included; 0 before the first. */
  readonly attempt: number
  /** What the pipeline last told. */
  readonly progress: unknown
  readonly result: OutputEnvelope | null
  readonly error: string | null
  readonly meta: Readonly<Record<string, unknown>>
  readonly queue: JobQueue | null
  readonly webhook: JobWebhook | null
}

/** What a follower of a job is told. */
export type JobEvent =
  | { readonly type: 'state'; readonly job: Job }
  | { readonly type: 'progress'; readonly value: unknown }
  | { readonly type: 'output'; readonly output: object }

export interface JobInferOptions {
  readonly signal: AbortSignal
  readonly onOutput?: (output: object) => void
  readonly onProgress?: (value: unknown) => void
}

/** A model as jobs use it. */
export interface JobModel {
  /**
   * Rejects with `KIQ_SERVE_BUSY` when it is to be asked again, with `KIQ_SERVE_STOPPING` when another process is, with
   * anything else when the job has failed.
   */
  infer(input: unknown, options: JobInferOptions): Promise<OutputEnvelope>
  /** Jobs at once, ≥ 1. */
  readonly concurrency: number
}

export function isEnded({ state }: Pick<Job, 'state'>): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled'
}
