import { performance } from 'node:perf_hooks'

import Table from 'cli-table3'

import { assertScoped, contenders } from './di/containers.mjs'
import { timeValidation, tree } from './di/graph.mjs'
import { startSubjects } from './di/tasks.mjs'
import { percentile } from './measure.mjs'

/** @typedef {{ readonly rounds: number, readonly scopes: number, readonly tasks: number, readonly providers: number, readonly containers: number }} Size */
/** @typedef {{ readonly median: number, readonly low: number, readonly high: number }} Spread */
/** @typedef {{ readonly us: number, readonly processor: number }} Cost */
/** @typedef {Spread & { readonly suite: 'di', readonly what: string, readonly unit: 'µs' | 'ms', readonly processor?: number, readonly against?: string }} DiRow */

const ADDED_AIM_US = 1
const VALIDATION_AIM_MS = 50
const WARM_UP_ROUNDS = 3

/**
 * What a scope costs in containers of several libraries, what injection adds to a task, and how long a check takes.
 *
 * @param {Size} size
 * @returns {Promise<readonly DiRow[]>}
 */
export async function benchDi(size) {
  // In this order: the brokers make every promise of the process dearer, since they use AsyncLocalStorage.
  return [...validation(size), ...(await scopes(size)), ...(await tasks(size))]
}

/** @param {Size} size */
function validation({ providers, containers }) {
  const all = tree(providers)
  const times = Array.from({ length: containers }, () => timeValidation(all))
  const most = Math.max(...times)
  const what = `validate ${providers.toLocaleString('en-US')} providers, ${containers} fresh containers`
  const against = `slowest ${most.toFixed(1)} < ${VALIDATION_AIM_MS} ${mark(most < VALIDATION_AIM_MS)}`
  return [row(what, 'ms', { ...spread(times), against })]
}

/** @param {Size} size */
async function scopes({ rounds, scopes: count }) {
  const all = contenders()
  for (const contender of all) await assertScoped(contender)
  const times = await takeTurns(all, rounds, async ({ open }) => {
    const startedAt = performance.now()
    for (let i = 0; i < count; i += 1) {
      const opened = open()
      if (opened instanceof Promise) await opened
    }
    return ((performance.now() - startedAt) * 1_000) / count
  })
  return all.map(({ name }, i) => row(`scope of three: ${name}`, 'µs', spread(times[i] ?? [])))
}

/** @param {Size} size */
async function tasks({ rounds, tasks: count }) {
  const { without, unused, measured } = await startSubjects()
  const subjects = [without, unused, measured]
  const costs = await takeTurns(subjects, rounds, async ({ run }) => {
    const cpu = process.cpuUsage()
    const startedAt = performance.now()
    await run(count)
    const us = (performance.now() - startedAt) * 1_000
    const { user, system } = process.cpuUsage(cpu)
    return { us: us / count, processor: (user + system) / count }
  })
  for (const { stop } of subjects) await stop()
  const [base = [], idle = [], full = []] = costs
  const injected = added(full, base)
  const against = `processor ≤ ${ADDED_AIM_US} ${mark(injected.processor <= ADDED_AIM_US)}`
  return [
    ...subjects.map(({ name }, i) => row(`task: ${name}`, 'µs', cost(costs[i] ?? []))),
    row(`added by ${unused.name}`, 'µs', added(idle, base)),
    row(`added by ${measured.name}`, 'µs', { ...injected, against }),
  ]
}

/** @param {readonly Cost[]} rounds */
function cost(rounds) {
  return { ...spread(rounds.map(({ us }) => us)), processor: spread(rounds.map(({ processor }) => processor)).median }
}

/**
 * The difference of the medians. The quartiles are of the differences within each round, as what else the machine does
 * changes from one to the next.
 *
 * @param {readonly Cost[]} rounds
 * @param {readonly Cost[]} base
 */
function added(rounds, base) {
  const [one, other] = [cost(rounds), cost(base)]
  const within = spread(rounds.map(({ us }, round) => us - (base[round]?.us ?? 0)))
  return { ...within, median: one.median - other.median, processor: one.processor - other.processor }
}

/**
 * Every contender in every round, another one first in each.
 *
 * @template C, M
 * @param {readonly C[]} all
 * @param {number} rounds
 * @param {(contender: C) => Promise<M>} measure
 * @returns {Promise<readonly M[][]>} Measurements of each contender.
 */
async function takeTurns(all, rounds, measure) {
  const figures = all.map(() => /** @type {M[]} */ ([]))
  for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
    for (let turn = 0; turn < all.length; turn += 1) {
      const i = (turn + round + WARM_UP_ROUNDS) % all.length
      const figure = await measure(/** @type {C} */ (all[i]))
      if (round >= 0) figures[i]?.push(figure)
    }
  }
  return figures
}

/**
 * @param {readonly number[]} values
 * @returns {Spread}
 */
function spread(values) {
  return { median: percentile(values, 0.5), low: percentile(values, 0.25), high: percentile(values, 0.75) }
}

/**
 * @param {string} what
 * @param {'µs' | 'ms'} unit
 * @param {Spread & { readonly processor?: number, readonly against?: string }} figures
 * @returns {DiRow}
 */
function row(what, unit, figures) {
  return { suite: 'di', what, unit, ...figures }
}

/** @param {boolean} met */
function mark(met) {
  return met ? '✓' : '✗'
}

/** @param {readonly DiRow[]} rows */
export function diTable(rows) {
  const table = new Table({
    head: ['di', 'unit', 'median', '25 %', '75 %', 'processor', 'aim'],
    colAligns: ['left', 'left', 'right', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [], compact: true },
  })
  const number = (/** @type {number | undefined} */ value) => (value === undefined ? '' : value.toFixed(2))
  for (const { what, unit, median, low, high, processor, against = '' } of rows) {
    table.push([what, unit, number(median), number(low), number(high), number(processor), against])
  }
  return table.toString()
}
