/** Program of a process or thread that runs the pipeline of one model for a service. */
import { isMainThread, parentPort } from 'node:worker_threads'

import { startWatchdog } from '../../core/index.ts'
import { markInferenceWorker } from './here.ts'
import type { FromWorker, ToWorker } from './protocol.ts'
import { WorkerProgram } from './worker-program.ts'

markInferenceWorker()

if (isMainThread) {
  const program = new WorkerProgram({
    post: (message) => {
      // What cannot be written any more is for a host that is gone.
      if (process.connected) process.send?.(message, undefined, undefined, () => {})
    },
    exit: () => {
      const last: FromWorker = { type: 'stopped' }
      // Messages are sent in their order: when this one is, all are.
      if (process.connected) process.send?.(last, undefined, undefined, () => process.exit(0))
      else process.exit(0)
    },
  })
  process.on('message', (message) => program.receive(message as ToWorker))
  process.on('disconnect', () => process.exit(0))
  // A pipeline that computes would never see that.
  startWatchdog({ parentPid: process.ppid, orphanDeadlineMs: 1_000 })
  // The host decides when a worker ends; a signal to the whole process group must not.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
} else {
  const port = parentPort
  const program = new WorkerProgram({
    post: (message) => port?.postMessage(message),
    exit: () => process.exit(0),
  })
  port?.on('message', (message: ToWorker) => program.receive(message))
}
