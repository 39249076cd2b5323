import { onTestFinished } from 'vitest'

import type { RedisStreamBrokerOptions } from '../../src/adapters/redis/index.ts'
import { RedisStreamBroker } from '../../src/adapters/redis/index.ts'
import type { Task, WorkerOptions } from '../../src/index.ts'
import { context, KiqError, Worker } from '../../src/index.ts'
import { sleep } from '../../src/util/abort.ts'
import type { RecordingLogger } from '../support/recording-logger.ts'
import { recordingLogger } from '../support/recording-logger.ts'

/** A broker in the process of the test, with tasks that tell what they do. */
export interface LocalBroker {
  readonly broker: RedisStreamBroker
  readonly work: Task<[n: number, ms?: number], Promise<number>>
  /** What `work` began and ended here, in order. */
  readonly started: readonly number[]
  readonly ended: readonly number[]
  /** Codes with which the signals of `work` were aborted. */
  readonly aborted: readonly string[]
  readonly log: RecordingLogger
}

export interface LocalWorker extends LocalBroker {
  readonly worker: Worker
}

let counter = 0

/** Not started yet; shut down after the test. Each has connections of its own. */
export function localBroker(options: RedisStreamBrokerOptions): LocalBroker {
  const log = recordingLogger()
  counter += 1
  const broker = new RedisStreamBroker({
    logger: log,
    clientOptions: { connectionName: `kiq-fault-${counter}` },
    ...options,
  })
  onTestFinished(() => broker.shutdown())
  const started: number[] = []
  const ended: number[] = []
  const aborted: string[] = []
  const work = broker.task('work', async (n: number, ms: number = 0) => {
    started.push(n)
    const { signal } = context()
    signal.addEventListener('abort', () => aborted.push(KiqError.is(signal.reason) ? signal.reason.code : ''))
    if (ms > 0) await sleep(ms)
    ended.push(n)
    return n * 2
  })
  return { broker, work, started, ended, aborted, log }
}

/** A broker that is started for sending. */
export async function startLocal(options: RedisStreamBrokerOptions): Promise<LocalBroker> {
  const local = localBroker(options)
  await local.broker.startup()
  return local
}

/** A worker in the process of the test, stopped after it. */
export async function startWorker(
  options: RedisStreamBrokerOptions,
  workerOptions: WorkerOptions = {},
): Promise<LocalWorker> {
  const local = localBroker(options)
  const worker = new Worker(local.broker, { abortGrace: 50, shutdownTimeout: 1_000, ...workerOptions })
  onTestFinished(() => worker.stop({ running: 'abort' }))
  await worker.start()
  return { ...local, worker }
}

/** The messages of a log, those of one level or all. */
export function messagesOf(log: RecordingLogger, level?: 'warn' | 'error'): readonly string[] {
  return log.lines.filter((line) => level === undefined || line.level === level).map(({ message }) => message)
}
