import Table from 'cli-table3'

/** @typedef {import('./judge.mjs').JudgedRow} JudgedRow */

const NAMES = /** @type {const} */ (['raw', 'bullmq', 'taskiq', 'kiq'])
const PEERS = /** @type {const} */ (['raw', 'bullmq', 'taskiq'])

/** @param {readonly JudgedRow[]} rows */
export function redisTable(rows) {
  const table = new Table({
    head: ['redis', 'unit', ...NAMES, ...PEERS.map((peer) => `kiq/${peer}`), 'aim'],
    colAligns: ['left', 'left', ...NAMES.map(() => /** @type {const} */ ('right')), 'right', 'right', 'right', 'left'],
    style: { head: [], border: [], compact: true },
  })
  for (const { what, unit, values, ratios, aims, digits } of rows) {
    table.push([
      what,
      unit,
      ...NAMES.map((name) => figure(values[name], digits)),
      ...PEERS.map((peer) => (ratios[peer] === undefined ? '' : `${figure(ratios[peer], 2)} ×`)),
      aims.map(({ aim, met }) => (met === undefined ? aim : `${aim} ${met ? '✓' : '✗'}`)).join('\n'),
    ])
  }
  return `${table.toString()}\nRatios say how many times better kiq is: more per second, or less time and memory.`
}

/**
 * @param {number | string | undefined} value
 * @param {number} digits
 */
function figure(value, digits) {
  if (typeof value !== 'number') return value ?? ''
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}
