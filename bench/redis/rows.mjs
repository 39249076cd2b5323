/**
 * What is measured, in the order of the table, and what Kiq aims at.
 *
 * @typedef {{ readonly times: number, readonly peer: import('./contenders.mjs').Name } | { readonly atMost: number }} Aim
 * @typedef {{ readonly id: string, readonly what: string, readonly unit: string, readonly better: 'higher' | 'lower', readonly digits: number, readonly aims?: readonly Aim[] }} Row
 * @typedef {{ readonly concurrencies: readonly number[], readonly rates: readonly number[] }} Shape
 */

const RATE = /** @type {const} */ ({ unit: 'tasks/s', better: 'higher', digits: 0 })
const MS = /** @type {const} */ ({ unit: 'ms', better: 'lower', digits: 2 })
const CPU = /** @type {const} */ ({ unit: 'µs/task', better: 'lower', digits: 1 })
const BYTES = /** @type {const} */ ({ unit: 'bytes', better: 'lower', digits: 0 })
const TASKIQ = /** @type {const} */ ({ times: 5, peer: 'taskiq' })
const RAW = /** @type {const} */ ({ times: 0.6, peer: 'raw' })
const TIMES_BULLMQ = { none: 4, kept: 3 }
const RESULTS = { none: 'without results', kept: 'with results' }

/**
 * @param {Shape} shape
 * @returns {readonly Row[]}
 */
export function rowsOf({ concurrencies, rates }) {
  const kinds = /** @type {const} */ (['none', 'kept'])
  return [
    { id: 'one', what: 'enqueue, one at a time', ...RATE, aims: [TASKIQ] },
    { id: 'flight', what: 'enqueue, 100 in flight', ...RATE, aims: [{ times: 1.8, peer: 'bullmq' }, TASKIQ] },
    { id: 'bulk', what: 'enqueue, 1,000 per call', ...RATE, aims: [{ times: 5, peer: 'bullmq' }, TASKIQ] },
    ...kinds.flatMap((results) =>
      concurrencies.map((concurrency) => ({
        id: `work-${concurrency}-${results}`,
        what: `process ${RESULTS[results]}, concurrency ${concurrency}`,
        ...RATE,
        aims:
          concurrency === 100
            ? [/** @type {const} */ ({ times: TIMES_BULLMQ[results], peer: 'bullmq' }), RAW, TASKIQ]
            : [TASKIQ],
      })),
    ),
    ...kinds.flatMap((results) => [
      { id: `cpu-${results}`, what: `processor time of the worker, ${RESULTS[results]}, concurrency 100`, ...CPU },
      { id: `server-${results}`, what: `processor time of Redis, ${RESULTS[results]}, concurrency 100`, ...CPU },
    ]),
    { id: 'latency-p50', what: 'kiq → result, one at a time, p50', ...MS, aims: [{ times: 2, peer: 'bullmq' }] },
    { id: 'latency-p99', what: 'kiq → result, one at a time, p99', ...MS },
    ...rates.flatMap((rate) => {
      const what = `kiq → start of the task at ${rate.toLocaleString('en-US')}/s`
      return [
        { id: `open-${rate}-p50`, what: `${what}, p50`, ...MS },
        { id: `open-${rate}-p99`, what: `${what}, p99`, ...MS, ...(rate === 10_000 ? { aims: [{ atMost: 5 }] } : {}) },
      ]
    }),
    { id: 'message', what: 'a waiting message with an argument of 90 bytes, as stored', ...BYTES },
    { id: 'dataset', what: 'memory of Redis per such message, data', ...BYTES, aims: [{ atMost: 250 }] },
    { id: 'memory', what: 'memory of Redis per such message, data and keys', ...BYTES },
  ]
}
