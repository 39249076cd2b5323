import { Broker, InMemoryBroker } from 'kiq'
import { MemoryTransport } from 'kiq/memory'

import { latencies, rate, windowed } from './measure.mjs'

const BATCH = 100

/**
 * The in-memory broker against a bare loop of async calls in the same batches.
 *
 * @param {{ readonly tasks: number, readonly samples: number }} size
 */
export async function benchMemory({ tasks, samples }) {
  const rows = []
  const add = async (/** @type {number} */ a) => a + 1

  const raw = await rate(async () => {
    for (let i = 0; i < tasks; i += BATCH) await Promise.all(Array.from({ length: BATCH }, (_, k) => add(i + k)))
    return tasks
  })
  rows.push({ suite: 'memory', what: `raw: await ${BATCH} async calls at a time`, rate: raw })

  for (const [what, send] of senders(tasks)) {
    const broker = new Broker(new MemoryTransport({ maxMessages: tasks * 8 }))
    const task = broker.task('add', add)
    await broker.startup()
    rows.push({ suite: 'memory', what, rate: await rate(() => send(task)) })
    await broker.shutdown()
  }

  for (const concurrency of [1, 10, 100]) {
    const broker = new InMemoryBroker({ maxAsyncTasks: concurrency, maxStoredResults: BATCH })
    const task = broker.task('add', add)
    await broker.startup()
    const endToEnd = await rate(async () => {
      for (let i = 0; i < tasks; i += BATCH) {
        const sent = await task.kiqMany(Array.from({ length: BATCH }, (_, k) => /** @type {[number]} */ ([i + k])))
        await Promise.all(sent.map((one) => one.result()))
      }
      return tasks
    })
    rows.push({
      suite: 'memory',
      what: `end to end with results, concurrency ${concurrency}`,
      rate: endToEnd,
      against: `${((endToEnd / raw) * 100).toFixed(0)} % of raw`,
    })
    const latency = await latencies(async () => await (await task.kiq(1)).result(), samples)
    rows.push({ suite: 'memory', what: `kiq → result, one at a time, concurrency ${concurrency}`, ...latency })
    await broker.shutdown()
  }
  return rows
}

/** @param {number} tasks */
export function senders(tasks) {
  return /** @type {const} */ ([
    ['kiq, one at a time', async (/** @type {any} */ task) => await windowed(tasks / 10, 1, (i) => task.kiq(i))],
    ['kiq, 100 in flight', async (/** @type {any} */ task) => await windowed(tasks, 100, (i) => task.kiq(i))],
    [
      'kiqMany of 100',
      async (/** @type {any} */ task) => {
        for (let i = 0; i < tasks; i += BATCH) await task.kiqMany(Array.from({ length: BATCH }, (_, k) => [i + k]))
        return tasks
      },
    ],
  ])
}
