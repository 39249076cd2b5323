import { onTestFinished } from 'vitest'

import type { BrokerOptions, InMemoryBrokerOptions, TaskResult, WorkerOptions } from '../../src/index.ts'
import { Broker, InMemoryBroker, silentLogger, Worker } from '../../src/index.ts'
import { FakeResults } from './fake-results.ts'
import type { FakeTransportOptions } from './fake-transport.ts'
import { FakeTransport } from './fake-transport.ts'

/** An in-memory broker that says nothing and is shut down after the test. */
export function inMemory(options: InMemoryBrokerOptions = {}): InMemoryBroker {
  const broker = new InMemoryBroker({ logger: silentLogger, waitTasksTimeout: 200, ...options })
  onTestFinished(() => broker.shutdown())
  return broker
}

export interface Fake {
  readonly broker: Broker
  readonly transport: FakeTransport
  readonly results: FakeResults
  /** What transport and result backend did, in order. */
  readonly events: string[]
  /** Starts a worker that is stopped after the test. */
  readonly work: (options?: WorkerOptions) => Promise<Worker>
}

/** A broker on a transport and a result backend in the hands of the test. */
export function fake(transportOptions: FakeTransportOptions = {}, options: BrokerOptions = {}): Fake {
  const events: string[] = []
  const transport = new FakeTransport({ events, ...transportOptions })
  const results = new FakeResults({ events })
  const broker = new Broker(transport, { logger: silentLogger, resultBackend: results, ...options })
  const workers: Worker[] = []
  onTestFinished(async () => {
    await Promise.all(workers.map((worker) => worker.stop({ running: 'abort' })))
    await broker.shutdown()
  })
  const work = async (workerOptions: WorkerOptions = {}): Promise<Worker> => {
    const worker = new Worker(broker, { abortGrace: 20, shutdownTimeout: 500, ...workerOptions })
    workers.push(worker)
    await worker.start()
    return worker
  }
  return { broker, transport, results, events, work }
}

/** A message as Taskiq writes it. */
export function wire(taskName: string, change: object = {}): string {
  const message = { task_id: 'id', task_name: taskName, labels: {}, labels_types: {}, args: [], kwargs: {} }
  return JSON.stringify({ ...message, ...change })
}

/** The failure of a result that must be one. */
export function errorOf(result: TaskResult): { name: string; message: string; code?: string | undefined } {
  if (!result.isErr) throw new Error(`The task succeeded with ${JSON.stringify(result.returnValue)}.`)
  return result.error
}
