// Tasks of the fault tests on Redis: each execution leaves lines in a ledger outside the queue, in the current folder.
import { appendFileSync } from 'node:fs'

import { context } from 'kiq'
import { RedisListBroker, RedisStreamBroker } from 'kiq/redis'

const { kind, ...options } = JSON.parse(process.env['KIQ_FAULT_BROKER'] ?? '{}')
export const broker = kind === 'list' ? new RedisListBroker(options) : new RedisStreamBroker(options)

/** @param {string} event @param {number} n @param {number} [attempt] */
function note(event, n, attempt = context().attempt) {
  appendFileSync(`ledger-${process.pid}`, `${Date.now()} ${event} ${n} ${process.pid} ${attempt}\n`)
}

/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

broker.task('work', async (/** @type {number} */ n, /** @type {number} */ ms) => {
  note('start', n)
  await sleep(ms)
  note('end', n)
  return { value: n * 2, pid: process.pid }
})

broker.task('listen', async (/** @type {number} */ n, /** @type {number} */ ms) => {
  note('start', n)
  const { signal, attempt } = context()
  signal.addEventListener('abort', () => note(`aborted:${signal.reason.code}`, n, attempt))
  await sleep(ms)
  note('end', n)
  return { value: n * 2, pid: process.pid }
})

broker.task('block', (/** @type {number} */ n, /** @type {number} */ ms) => {
  note('start', n)
  const end = Date.now() + ms
  while (Date.now() < end);
  note('end', n)
  return { value: n * 2, pid: process.pid }
})

broker.task('killer', async (/** @type {number} */ n) => {
  note('start', n)
  await sleep(50)
  process.kill(process.pid, 'SIGKILL')
})
