// Tasks of the fault tests: each execution leaves a line in a ledger outside the queue.
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'

import { context } from 'kiq'
import { SqliteBroker } from 'kiq/sqlite'

const dir = process.env['KIQ_FAULT_DIR'] ?? '.'
export const broker = new SqliteBroker({ path: join(dir, 'kiq.db'), lease: process.env['KIQ_FAULT_LEASE'] ?? '15s' })

/** @param {string} event @param {number} n */
function note(event, n) {
  appendFileSync(
    join(dir, `ledger-${process.pid}`),
    `${Date.now()} ${event} ${n} ${process.pid} ${context().attempt}\n`,
  )
}

export const work = broker.task('work', async (/** @type {number} */ n, /** @type {number} */ ms) => {
  note('start', n)
  await new Promise((resolve) => setTimeout(resolve, ms))
  note('end', n)
  return n * 2
})

export const killer = broker.task('killer', async () => {
  await new Promise((resolve) => setTimeout(resolve, 100))
  process.kill(process.pid, 'SIGKILL')
})
