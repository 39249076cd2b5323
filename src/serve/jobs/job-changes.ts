import { ConfigError, KiqError } from '../../contract/index.ts'
import type { DeadLetter } from '../../contract/index.ts'
import type { Broker } from '../../core/index.ts'
import { isEnded } from './job.ts'
import type { Job, JobState } from './job.ts'
import { jobUnknown, messageGone, wrongState } from './job-errors.ts'
import { messageOf } from './job-message.ts'
import type { JobTask } from './job-message.ts'
import type { BaseRecord, JobParts, JobRecords, RunRecord } from './job-records.ts'
import { readJobRequest } from './job-request.ts'
import type { CompleteRequest } from './job-request.ts'
import { jobOf } from './job-view.ts'

/** How long a cancel waits for the end of what runs. */
const CANCEL_MS = 1_000
const DAY_MS = 24 * 60 * 60 * 1000

export interface JobChangeParts {
  readonly broker: Broker
  readonly records: JobRecords
  readonly taskOf: (model: string) => JobTask | undefined
  readonly announce: (job: Job, base: BaseRecord) => Promise<void>
  readonly onJob: (model: string, state: JobState) => void
}

/** See `Jobs.cancel`. */
export async function cancelJob(id: string, parts: JobChangeParts): Promise<Job> {
  const { broker, records } = parts
  const before = await known(id, records)
  const job = jobOf(id, before)
  if (isEnded(job)) throw wrongState(job, 'cancelled')
  const isFound = await broker.cancel(id)
  if (isFound) await broker.waitResult(id, { timeout: CANCEL_MS }).catch(() => undefined)
  const after = await known(id, records)
  const ended = jobOf(id, after)
  if (ended.state !== 'cancelled') {
    if (isFound && !isEnded(ended)) return ended
    throw wrongState(ended, 'cancelled')
  }
  // An execution has told of its end itself.
  if (after.run?.state === 'ended') return ended
  const finished_at = new Date().toISOString()
  const failure = { envelope: null, error: ended.error, queue: null }
  const run: RunRecord = { ...runOf(after), state: 'ended', finished_at, failure }
  await records.setRun(id, run)
  const cancelled = jobOf(id, { ...after, run })
  await parts.announce(cancelled, after.base)
  parts.onJob(cancelled.model_name, 'cancelled')
  return cancelled
}

/** See `Jobs.retry`. */
export async function retryJob(id: string, parts: JobChangeParts): Promise<Job> {
  const { broker, records } = parts
  const before = await known(id, records)
  const job = jobOf(id, before)
  if (job.state !== 'failed' && job.state !== 'cancelled') throw wrongState(job, 'sent again')
  const letter = await deadLetterOf(broker, id)
  // Without a letter it was cancelled in its queue.
  const request = letter ? requestOf(broker, letter) : before.base.request
  if (request === null) throw messageGone(id)
  const base = { ...before.base, retries: before.base.retries + 1, request }
  const run = { ...runOf(before), state: 'queued' as const, started_at: null, finished_at: null, failure: null }
  // Before the message: an execution that begins must not find the records replaced.
  await records.setBase(id, base)
  await records.setRun(id, run)
  try {
    // One that was cancelled before it began has no attempt to go on from.
    if (letter && before.base.request === null) await broker.retry(id)
    else await sendAgain({ id, base, attempt: job.attempt }, parts)
    if (letter) await broker.transport.deadLetters?.drop({ ids: [letter.id] })
  } catch (error) {
    // Somebody else was faster.
    if (KiqError.is(error, 'KIQ_MESSAGE_NOT_KEPT')) throw wrongState(jobOf(id, await known(id, records)), 'sent again')
    await records.setRun(id, runOf(before))
    await records.setBase(id, before.base)
    throw error
  }
  parts.onJob(base.model_name, 'queued')
  return jobOf(id, { base, run, result: undefined, webhook: undefined })
}

interface Again {
  readonly id: string
  readonly base: BaseRecord
  /** Executions so far. */
  readonly attempt: number
}

async function sendAgain({ id, base, attempt }: Again, { broker, records, taskOf }: JobChangeParts): Promise<void> {
  const task = taskOf(base.model_name)
  if (task === undefined) throw messageGone(id)
  const message = messageOf(id, task, base)
  const putBack = await records.takeResult(id)
  try {
    await broker.send([{ ...message, labels: { ...message.labels, _retries: attempt } }], {
      key: `retry:${id}:${base.retries}`,
      at: 1,
      ttlMs: DAY_MS,
    })
  } catch (error) {
    await putBack()
    throw error
  }
}

async function deadLetterOf(broker: Broker, id: string): Promise<DeadLetter | undefined> {
  const { deadLetters, name } = broker.transport
  if (deadLetters === undefined) {
    throw new ConfigError(
      'KIQ_UNSUPPORTED',
      `The transport "${name}" keeps no messages of jobs that failed, so none can be sent again. Send it as a new one.`,
    )
  }
  const [letter] = await deadLetters.list({ taskId: id, limit: 1 })
  return letter
}

/** Clients in other languages may send the record as the one argument. */
function requestOf(broker: Broker, { body }: DeadLetter): CompleteRequest {
  const { args, kwargs } = broker.parts.formatter.loads(body)
  return readJobRequest(Object.assign({}, args[0], kwargs))
}

async function known(id: string, records: JobRecords): Promise<JobParts> {
  const parts = await records.read(id)
  if (parts) return parts
  throw jobUnknown(id)
}

function runOf({ run }: JobParts): RunRecord {
  return run ?? { state: 'queued', started_at: null, finished_at: null, attempt: 0, progress: null, failure: null }
}
