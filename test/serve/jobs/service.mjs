// A service for jobs-kills.test.ts, on the built package: node service.mjs <folder> <concurrency>
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'

import { SqliteBroker } from '../../../dist/adapters/sqlite/index.js'
import { silentLogger } from '../../../dist/contract/index.js'
import { Jobs } from '../../../dist/serve/jobs/index.js'
import { QueueSender } from '../../../dist/serve/queues/index.js'

const [folder = '', concurrency = '1'] = process.argv.slice(2)

async function infer({ n, dies }) {
  if (dies) process.kill(process.pid, 'SIGKILL')
  await new Promise((resolve) => setTimeout(resolve, 5))
  return { status: 'success', error: null, meta: {}, double: 2 * n }
}

const backend = {
  async sendMessage(queueName, message) {
    appendFileSync(join(folder, `${queueName}.jsonl`), `${message}\n`)
    return true
  },
}

const jobs = new Jobs({
  broker: new SqliteBroker({ path: join(folder, 'jobs.db'), logger: silentLogger, lease: '1s' }),
  ownsBroker: true,
  appName: 'app',
  models: new Map([['m', { infer, concurrency: Number(concurrency) }]]),
  sender: new QueueSender({ backend, logger: silentLogger }),
  webhooks: undefined,
  timeoutMs: 20_000,
  resultTtlMs: 3_600_000,
  log: silentLogger,
  executes: true,
})
await jobs.start()
