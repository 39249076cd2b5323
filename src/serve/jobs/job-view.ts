import type { TaskResult } from '../../contract/index.ts'
import type { Job, JobState } from './job.ts'
import type { JobOutcome, JobParts, RunFailure, RunRecord } from './job-records.ts'
import { publicSentence } from './public-message.ts'

type Ended = Pick<Job, 'state' | 'started_at' | 'finished_at' | 'attempt' | 'result' | 'error' | 'queue'>

const NOT_RUN: RunRecord = {
  state: 'queued',
  started_at: null,
  finished_at: null,
  attempt: 0,
  progress: null,
  failure: null,
}

/** A job as callers see it, from what is stored of it. */
export function jobOf(id: string, { base, run, result, webhook }: JobParts): Job {
  const ended = result && (result.isErr ? failed(id, result, run) : succeeded(result.returnValue as JobOutcome))
  return assemble(id, { base, run, webhook }, ended ?? underWay(run ?? NOT_RUN))
}

/** A job as it will be when its result is stored. */
export function endedJobOf(id: string, parts: Omit<JobParts, 'result'>, end: JobEnd): Job {
  return assemble(id, parts, endOf(end))
}

/** How an execution ended. */
export interface JobEnd {
  readonly state: JobState
  readonly run: RunRecord
  readonly outcome: RunFailure
}

function assemble(id: string, { base, run, webhook }: Omit<JobParts, 'result'>, ended: Ended): Job {
  return {
    job_id: id,
    model_name: base.model_name,
    state: ended.state,
    created_at: base.created_at,
    started_at: ended.started_at,
    finished_at: ended.finished_at,
    duration_ms: between(ended.started_at, ended.finished_at),
    attempt: ended.attempt,
    progress: run?.progress ?? null,
    result: ended.result,
    error: ended.error,
    meta: base.meta,
    queue: ended.queue,
    webhook:
      base.webhook_url === null
        ? null
        : (webhook ?? { url: base.webhook_url, state: 'pending', attempts: 0, error: null }),
  }
}

/** One that has ended while its result is not stored yet still counts as running: it may run again. */
function underWay({ state, started_at, attempt }: RunRecord): Ended {
  const isQueued = state === 'queued'
  return {
    state: isQueued ? 'queued' : 'running',
    started_at: isQueued ? null : started_at,
    finished_at: null,
    attempt,
    result: null,
    error: null,
    queue: null,
  }
}

function succeeded({ envelope, queue, started_at, finished_at, attempt }: JobOutcome): Ended {
  return { state: 'succeeded', started_at, finished_at, attempt, result: envelope, error: null, queue }
}

function failed(id: string, { error }: Extract<TaskResult, { isErr: true }>, run: RunRecord = NOT_RUN): Ended {
  const state = error.code === 'KIQ_TASK_CANCELLED' ? 'cancelled' : 'failed'
  const found = run.state === 'ended' ? run.failure : null
  // It ended without a word of its own: given up by the worker, or while its process died.
  const outcome = found ?? { envelope: null, error: publicSentence(error.code, `job ${id}`), queue: null }
  return endOf({ state, run, outcome })
}

function endOf({ state, run, outcome }: JobEnd): Ended {
  const { started_at, finished_at, attempt } = run
  const { envelope, error, queue } = outcome
  return { state, started_at, finished_at, attempt, result: envelope, error, queue }
}

function between(from: string | null, to: string | null): number | null {
  return from === null || to === null ? null : Math.max(0, Date.parse(to) - Date.parse(from))
}
