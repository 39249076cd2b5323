/**
 * `npm run bench [-- --smoke] [-- memory|sqlite|redis|scheduler|di|serve …] [-- --json]`: messages per second and latencies, each against
 * the raw engine in the same run. `bench/README.md` says how to read them.
 */
import { cpus } from 'node:os'

import Table from 'cli-table3'

import { benchDi, diTable } from './di.mjs'
import { benchMemory } from './memory.mjs'
import { benchRedis } from './redis.mjs'
import { redisTable } from './redis/table.mjs'
import { benchScheduler } from './scheduler.mjs'
import { benchServe } from './serve.mjs'
import { benchSqlite } from './sqlite.mjs'

const SUITES = {
  memory: benchMemory,
  sqlite: benchSqlite,
  redis: benchRedis,
  scheduler: benchScheduler,
  di: benchDi,
  serve: benchServe,
}
const SIZES = {
  memory: { full: { tasks: 100_000, samples: 2_000 }, smoke: { tasks: 5_000, samples: 100 } },
  sqlite: { full: { tasks: 40_000, samples: 1_000 }, smoke: { tasks: 4_000, samples: 50 } },
  scheduler: {
    full: { schedules: 10_000, idleSeconds: 20 },
    smoke: { schedules: 500, idleSeconds: 1 },
  },
  di: {
    full: { rounds: 41, scopes: 20_000, tasks: 20_000, providers: 2_000, containers: 20 },
    smoke: { rounds: 2, scopes: 1_000, tasks: 1_000, providers: 2_000, containers: 3 },
  },
  serve: {
    full: { rounds: 5, milliseconds: 4_000, probes: 500 },
    smoke: { rounds: 1, milliseconds: 300, probes: 10 },
  },
  redis: {
    full: { rounds: 3, scale: 1, concurrencies: [1, 10, 100], rates: [1_000, 10_000], openLoopSeconds: 2 },
    smoke: { rounds: 1, scale: 0.04, concurrencies: [100], rates: [1_000], openLoopSeconds: 0.5 },
  },
}

const args = process.argv.slice(2)
const size = args.includes('--smoke') ? 'smoke' : 'full'
const names = /** @type {(keyof typeof SUITES)[]} */ (args.filter((arg) => !arg.startsWith('--')))
const unknown = names.filter((name) => !(name in SUITES))
if (unknown.length > 0) {
  console.error(`There is no bench called ${unknown.join(', ')}. Use: ${Object.keys(SUITES).join(', ')}.`)
  process.exit(2)
}

const rows = []
for (const name of names.length > 0 ? names : /** @type {(keyof typeof SUITES)[]} */ (Object.keys(SUITES))) {
  process.stderr.write(`${name} …\n`)
  rows.push(...(await SUITES[name](SIZES[name][size])))
}

if (args.includes('--json')) {
  console.log(
    JSON.stringify({ node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, size, rows }, null, 2),
  )
} else {
  console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${size} run`)
  const compared = rows.filter((row) => 'values' in row)
  const spreads = rows.filter((row) => 'median' in row)
  const measured = rows.filter((row) => !('values' in row || 'median' in row))
  if (measured.length > 0) console.log(engineTable(measured))
  if (compared.length > 0) console.log(redisTable(compared))
  if (spreads.length > 0) console.log(diTable(spreads))
}

/** @param {readonly import('./measure.mjs').Row[]} measured */
function engineTable(measured) {
  const table = new Table({
    head: ['engine', 'what', 'per second', 'p50 ms', 'p99 ms', 'against'],
    colAligns: ['left', 'left', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [] },
  })
  const number = (/** @type {number | undefined} */ value, digits = 0) =>
    value === undefined ? '' : value.toLocaleString('en-US', { maximumFractionDigits: digits })
  for (const row of measured) {
    table.push([
      row.suite,
      row.what,
      number(row.rate),
      number(row.p50, 3),
      number(row.p99, 3),
      'against' in row ? String(row.against) : '',
    ])
  }
  return table.toString()
}
