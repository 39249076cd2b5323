/** What the demo shows at the end, from what happened. Knows nothing of queues, processes and terminals. */
import Table from 'cli-table3'

import { groupBy, LANGUAGES } from './files.mjs'

/** @typedef {import('./files.mjs').SourceFile} SourceFile */
/** @typedef {import('kiq').TaskResult<import('./tasks.mjs').Detection>} Result */

/**
 * @typedef {object} Outcome - What became of one file.
 * @property {SourceFile} file
 * @property {string} taskId
 * @property {Result} result
 * @property {number} latencyMs - From `kiq()` to the result.
 * @property {number} doneAt - On the clock of `performance.now()`, as all times here.
 */

/**
 * @typedef {object} Run
 * @property {readonly Outcome[]} outcomes
 * @property {number} seconds
 * @property {Kill | undefined} kill - Of a worker process, if there was one.
 */

/** @typedef {{ at: number, restartedAt: number }} Kill - `restartedAt`: another process had taken its place. */

/** @typedef {{ name: string, files: number, extensions: string, agreed: number, compared: number }} Row */

/** Extensions named in one cell of the table. */
const MAX_EXTENSIONS = 3
/** Files named in one complaint. */
const MAX_NAMED = 5

const humanLanguages = new Intl.DisplayNames('en', { type: 'language' })

/**
 * The detected languages as a table.
 *
 * @param {readonly Outcome[]} outcomes
 */
export function languageTable(outcomes) {
  const table = new Table({
    head: ['language', 'files', 'found in', 'extension agrees'],
    colAligns: ['left', 'right', 'left', 'right'],
    style: { head: [], border: [], compact: true },
  })
  const sections = languageRows(outcomes).filter((rows) => rows.length > 0)
  for (const [index, rows] of sections.entries()) {
    if (index > 0) table.push([{ content: '', colSpan: 4 }])
    for (const { name, files, extensions, agreed, compared } of rows) {
      const agreement = compared === 0 ? '' : `${agreed} of ${compared} ${percent(agreed / compared).padStart(8)}`
      table.push([name, files, extensions, agreement])
    }
  }
  const left = answersOf(outcomes).filter((answer) => answer.kind === 'code' && !isComparable(answer))
  const extensions = [...groupBy(left, extensionOf).keys()].sort().join(' ')
  const note = left.length === 0 ? '' : `\nNot compared, being unknown to the model: ${extensions}`
  return table.toString() + note
}

/**
 * Rows of the table: programming languages, most frequent first, with those that no extension confirms in one row; human
 * languages; the total.
 *
 * @param {readonly Outcome[]} outcomes
 * @returns {Row[][]}
 */
export function languageRows(outcomes) {
  const answered = answersOf(outcomes)
  const code = answered.filter(({ kind }) => kind === 'code')
  const prose = answered.filter(({ kind }) => kind === 'prose')
  const confirmed = new Set(code.filter(agrees).map(({ language }) => language))
  const others = code.filter(({ language }) => !confirmed.has(language))
  const otherNames = new Set(others.map(({ language }) => language))
  return [
    [
      ...rowPerLanguage(
        code.filter(({ language }) => confirmed.has(language)),
        programmingLanguage,
      ),
      ...(others.length === 0 ? [] : [toRow(counted(otherNames.size, 'other'), others)]),
    ],
    rowPerLanguage(prose, humanLanguage),
    [{ ...toRow('total', answered), extensions: counted(groupBy(answered, extensionOf).size, 'extension') }],
  ]
}

/** @typedef {SourceFile & { language: string }} Answer */

/** @param {readonly Outcome[]} outcomes */
function answersOf(outcomes) {
  return outcomes.flatMap(({ file, result }) =>
    result.isErr ? [] : { ...file, language: result.returnValue.language },
  )
}

/**
 * @param {readonly Answer[]} answers
 * @param {(id: string) => string} nameOf
 */
function rowPerLanguage(answers, nameOf) {
  const groups = groupBy(answers, ({ language }) => language)
  return [...groups].map(([id, group]) => toRow(nameOf(id), group)).sort((a, b) => b.files - a.files)
}

/**
 * @param {string} name
 * @param {readonly Answer[]} answers
 * @returns {Row}
 */
function toRow(name, answers) {
  const counts = [...groupBy(answers, extensionOf)].sort(([, a], [, b]) => b.length - a.length)
  const named = counts.slice(0, MAX_EXTENSIONS).map(([extension, { length }]) => `${extension} ${length}`)
  return {
    name,
    files: answers.length,
    extensions: named.join('  ') + (counts.length > MAX_EXTENSIONS ? '  …' : ''),
    agreed: answers.filter(agrees).length,
    compared: answers.filter(isComparable).length,
  }
}

/** @param {Answer} answer */
function extensionOf({ extension }) {
  return extension
}

/** @param {Answer} answer */
function agrees({ language, extension }) {
  return LANGUAGES.some(({ id, extensions }) => id === language && extensions.includes(extension))
}

/** @param {Answer} answer */
function isComparable({ extension }) {
  return LANGUAGES.some(({ extensions }) => extensions.includes(extension))
}

/** @param {string} id */
function programmingLanguage(id) {
  return LANGUAGES.find((language) => language.id === id)?.name ?? id
}

/** @param {string} id */
function humanLanguage(id) {
  return id === 'unknown' ? id : (humanLanguages.of(id) ?? id)
}

/**
 * The numbers of a run, one line each.
 *
 * @param {Run} run
 */
export function summaryLines({ outcomes, seconds, kill }) {
  const latencies = outcomes.map(({ latencyMs }) => latencyMs)
  const [p50, p99] = [50, 99].map((percentage) => percentile(latencies, percentage).toFixed(0))
  const { executions, retries, redelivered } = executionCounts(outcomes)
  const redeliveries = kill ? `${redelivered.length} redelivered after the kill, ` : ''
  const lines = [
    ['tasks', `${outcomes.length} in ${seconds.toFixed(1)} s: ${(outcomes.length / seconds).toFixed(0)} per second`],
    ['latency', `p50 ${p50} ms, p99 ${p99} ms, from kiq() to the result`],
    ['executions', `${executions}: ${redeliveries}${retries} retried after errors`],
  ]
  if (kill) {
    const recoveredAt = Math.min(...redelivered.map(({ doneAt }) => doneAt))
    const after = (/** @type {number} */ at) => `${((at - kill.at) / 1000).toFixed(2)} s`
    const first =
      redelivered.length === 0 ? 'nothing was running there' : `first redelivered result after ${after(recoveredAt)}`
    lines.push(['recovery', `${first}, new process after ${after(kill.restartedAt)}`])
  }
  return lines.map(([label = '', text = '']) => label.padEnd(12) + text)
}

/**
 * How often tasks were executed: once each, plus retries after errors, plus deliveries after the end of a worker.
 *
 * @param {readonly Outcome[]} outcomes
 */
export function executionCounts(outcomes) {
  let executions = 0
  let retries = 0
  const redelivered = []
  for (const outcome of outcomes) {
    const { result } = outcome
    if (result.isErr) continue
    const { attempt } = result.returnValue
    const retried = Number(result.labels._retries ?? 0)
    executions += attempt
    retries += retried
    if (attempt > 1 + retried) redelivered.push(outcome)
  }
  return { executions, retries, redelivered }
}

/**
 * What is wrong in the end, as lines; none when every file has exactly one result and the queues are empty.
 *
 * @param {object} stored
 * @param {readonly SourceFile[]} stored.files - All that were sent.
 * @param {readonly (import('kiq').TaskResult | undefined)[]} stored.results - Of all tasks.
 * @param {readonly import('kiq/contract').QueueDepth[]} [stored.queues]
 * @returns {string[]}
 */
export function complaints({ files, results, queues = [] }) {
  const counts = new Map(files.map(({ path }) => [path, 0]))
  const failed = []
  const foreign = []
  for (const result of results) {
    if (result === undefined) continue
    if (result.isErr) {
      failed.push(`${result.error.name}: ${result.error.message}`)
      continue
    }
    const { path } = /** @type {import('./tasks.mjs').Detection} */ (result.returnValue)
    const count = counts.get(path)
    if (count === undefined) foreign.push(path)
    else counts.set(path, count + 1)
  }
  const left = queues.filter(({ ready, delayed, running, dead }) => ready + delayed + running + dead > 0)
  return [
    ...complaint('task(s) failed', failed),
    ...complaint(
      'file(s) have no result',
      [...counts].flatMap(([path, count]) => (count === 0 ? path : [])),
    ),
    ...complaint(
      'file(s) have more than one result',
      [...counts].flatMap(([path, count]) => (count > 1 ? path : [])),
    ),
    ...complaint('result(s) belong to no file', foreign),
    ...complaint(
      'queue(s) are not empty',
      left.map((depth) => JSON.stringify(depth)),
    ),
  ]
}

/**
 * @param {string} what
 * @param {readonly string[]} items
 */
function complaint(what, items) {
  if (items.length === 0) return []
  const more = items.length > MAX_NAMED ? [`  … ${items.length - MAX_NAMED} more`] : []
  return [`${items.length} ${what}:`, ...items.slice(0, MAX_NAMED).map((item) => `  ${item}`), ...more]
}

/**
 * The smallest value that so many percent of the values do not exceed; 0 when there are none.
 *
 * @param {readonly number[]} values
 * @param {number} percentage
 */
export function percentile(values, percentage) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil((sorted.length * percentage) / 100) - 1)] ?? 0
}

/**
 * @param {number} count
 * @param {string} noun
 */
function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/** @param {number} share */
function percent(share) {
  return `${(100 * share).toFixed(1)} %`
}
