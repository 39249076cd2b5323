/** Starts two workers, one of which computes for ever, tells their ids, and waits to be killed. */
import { fileURLToPath } from 'node:url'

import { WorkerHost } from '../../../dist/serve/workers/index.js'

const log = { debug() {}, info() {}, warn() {}, error() {} }
const host = new WorkerHost({
  kind: 'process',
  module: fileURLToPath(new URL('./pipelines/faulty.mjs', import.meta.url)),
  modelName: 'm',
  pipelineName: 'Faulty',
  context: { modelName: 'm', modelFolder: '.', common: {}, settings: {} },
  minWorkers: 2,
  log,
})
await host.start()
const { signal } = new AbortController()
const pids = []
const tell = (_, pid) => {
  pids.push(pid)
  if (pids.length === 2) process.send(pids)
}
void host.run([{ do: 'spin' }], { signal, followed: new Set([0]), onProgress: tell })
void host.run([{ do: 'wait' }], { signal, followed: new Set([0]), onProgress: tell })
