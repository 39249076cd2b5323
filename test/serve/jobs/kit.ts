import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { onTestFinished } from 'vitest'

import { SqliteBroker } from '../../../src/adapters/sqlite/index.ts'
import { InMemoryBroker, silentLogger } from '../../../src/index.ts'
import type { Broker, Logger } from '../../../src/index.ts'
import { Jobs } from '../../../src/serve/jobs/index.ts'
import type { Job, JobInferOptions, JobModel } from '../../../src/serve/jobs/job.ts'
import type { JobsOptions } from '../../../src/serve/jobs/jobs.ts'
import { InMemoryQueueBackend, QueueSender } from '../../../src/serve/queues/index.ts'
import { until } from '../../../src/testing/until.ts'

export type Infer = JobModel['infer']

/** Fails for the text `poison` as a stage does, and for `bad` by the status of its output. */
export const sentiment: Infer = async (input) => {
  const { text } = input as { readonly text: string }
  if (text === 'poison') throw new Error('ENOENT: /secret/model.bin')
  if (text === 'bad') return { status: 'unreadable', error: 'cannot read this one', meta: { own: true }, at: 3 }
  return { status: 'success', error: null, meta: { own: true }, sentiment: 'positive', confidence: 0.95 }
}

export interface Kit {
  readonly jobs: Jobs
  readonly broker: Broker
  readonly queues: InMemoryQueueBackend
}

export interface KitOptions extends Partial<Omit<JobsOptions, 'models'>> {
  readonly infer?: Infer
  readonly concurrency?: number
}

/** Jobs of one model `m` that are not started, and are stopped after the test. */
export function makeJobs({ infer = sentiment, concurrency = 4, ...options }: KitOptions = {}): Kit {
  const queues = new InMemoryQueueBackend()
  const log: Logger = options.log ?? silentLogger
  const broker = options.broker ?? memory()
  const jobs = new Jobs({
    broker,
    ownsBroker: true,
    // Of its own: what is left in a queue is not for the next test.
    appName: randomUUID(),
    models: new Map([['m', { infer, concurrency }]]),
    sender: new QueueSender({ backend: queues, logger: silentLogger, backoff: { baseMs: 1, maxMs: 2 } }),
    webhooks: undefined,
    timeoutMs: 20_000,
    resultTtlMs: 3_600_000,
    executes: true,
    ...options,
    log,
  })
  onTestFinished(() => jobs.stop({ timeoutMs: 0 }))
  return { jobs, broker, queues }
}

export async function startJobs(options: KitOptions = {}): Promise<Kit> {
  const kit = makeJobs(options)
  await kit.jobs.start()
  return kit
}

export function memory(): Broker {
  return new InMemoryBroker({ logger: silentLogger, waitTasksTimeout: 100 })
}

/** A folder that is removed after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'kiq-jobs-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function sqlite(path: string = join(temporaryFolder(), 'jobs.db')): Broker {
  return new SqliteBroker({ path, logger: silentLogger, lease: '1s' })
}

export async function ended(jobs: Jobs, id: string): Promise<Job> {
  return await until(
    async () => {
      const job = await jobs.get(id)
      return job && ['succeeded', 'failed', 'cancelled'].includes(job.state) ? job : undefined
    },
    { timeoutMs: 15_000 },
  )
}

export async function inState(jobs: Jobs, id: string, state: Job['state']): Promise<Job> {
  return await until(
    async () => {
      const job = await jobs.get(id)
      return job?.state === state ? job : undefined
    },
    { timeoutMs: 15_000 },
  )
}

/** A model that runs until its signal aborts. */
export const endless: Infer = async (_input, { signal }: JobInferOptions) =>
  await new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
