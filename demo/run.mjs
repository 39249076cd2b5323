/** The demo proper: sends the tasks, kills a worker on the way, collects the results. */
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

import { showProgress } from './progress.mjs'

/** @typedef {import('./files.mjs').SourceFile} SourceFile */
/** @typedef {import('kiq').SentTask<import('./tasks.mjs').Detection>} Sent */

/** Tasks sent and not answered yet: enough to keep 2 × 4 busy, so few that the latency means something. */
const IN_FLIGHT = 16
/** With fewer files everything is over before a worker could be missed. */
const MIN_FILES_TO_KILL = 40

/**
 * Sends one task per file and waits for all results.
 *
 * @param {readonly SourceFile[]} files
 * @param {Pick<typeof import('./tasks.mjs'), 'detectCode' | 'detectProse'>} tasks
 * @param {import('./workers.mjs').Workers} workers
 * @param {AbortSignal} signal - Ends the waiting.
 * @returns {Promise<import('./report.mjs').Run>}
 */
export async function runTasks(files, { detectCode, detectProse }, workers, signal) {
  /** @type {import('./report.mjs').Outcome[]} */
  const outcomes = []
  /** @type {Set<Sent>} */
  const inFlight = new Set()
  const progress = showProgress(files.length)
  const startedAt = performance.now()
  const killAt = files.length < MIN_FILES_TO_KILL ? undefined : Math.ceil(files.length / 2)
  /** @type {import('./report.mjs').Kill | undefined} */
  let kill
  let seconds = 0
  // Every waiter listens to it.
  setMaxListeners(0, signal)

  const detect = async (/** @type {SourceFile} */ file) => {
    const task = file.kind === 'code' ? detectCode : detectProse
    const sentAt = performance.now()
    const sent = await task.kiq(file.path)
    inFlight.add(sent)
    const result = await sent.waitResult({ signal })
    inFlight.delete(sent)
    const doneAt = performance.now()
    outcomes.push({ file, taskId: sent.taskId, result, latencyMs: doneAt - sentAt, doneAt })
    seconds = (doneAt - startedAt) / 1000
    progress.update(outcomes.length, { rate: outcomes.length / seconds, pids: workers.pids })
    // The other lanes go on meanwhile.
    if (outcomes.length === killAt) kill = await killWorker(workers, inFlight, progress, signal)
  }

  if (killAt === undefined) progress.note(`Fewer than ${MIN_FILES_TO_KILL} files: no worker is killed this time.`)
  // Lanes that take from one iterator: each sends its next file when it has the result of the last.
  const left = files.values()
  const lane = async () => {
    for (const file of left) await detect(file)
  }
  try {
    await Promise.all(Array.from({ length: IN_FLIGHT }, lane))
  } finally {
    progress.stop()
  }
  return { outcomes, seconds, kill }
}

/**
 * Kills the worker process that runs the most tasks, without any warning, and waits until the supervisor has replaced it.
 *
 * @param {import('./workers.mjs').Workers} workers
 * @param {ReadonlySet<Sent>} inFlight
 * @param {import('./progress.mjs').ProgressView} progress
 * @param {AbortSignal} signal
 * @returns {Promise<import('./report.mjs').Kill>}
 */
async function killWorker(workers, inFlight, progress, signal) {
  const running = await tasksByProcess(inFlight)
  const tasksOf = (/** @type {number | null} */ pid) => running.get(pid) ?? []
  const [victim] = [...workers.processes].sort((a, b) => tasksOf(b.pid).length - tasksOf(a.pid).length)
  if (!victim?.pid) throw new Error('No worker process is there to be killed.')
  process.kill(victim.pid, 'SIGKILL')
  const at = performance.now()
  // Some may have ended in the last millisecond.
  const ready = await Promise.all(tasksOf(victim.pid).map((sent) => sent.isReady()))
  const name = `worker ${victim.slot + 1} of ${workers.processes.length}`
  const count = ready.filter((isReady) => !isReady).length
  const tasks = count === 1 ? '1 task was' : `${count} tasks were`
  progress.note(`kill -9 ${victim.pid}: ${name}; ${tasks} running there`)

  const replacement = () =>
    workers.processes.find(({ slot, pid, isReady }) => slot === victim.slot && isReady && pid !== victim.pid)
  while (!replacement()) {
    signal.throwIfAborted()
    await sleep(20)
  }
  const restartedAt = performance.now()
  progress.note(`${name} is back after ${((restartedAt - at) / 1000).toFixed(1)} s as process ${replacement()?.pid}`)
  return { at, restartedAt }
}

/**
 * Which worker process runs which task, as the tasks themselves report it.
 *
 * @param {ReadonlySet<Sent>} inFlight
 */
async function tasksByProcess(inFlight) {
  /** @type {Map<unknown, Sent[]>} */
  const tasks = new Map()
  for (const sent of inFlight) {
    const { pid } = /** @type {{ pid?: number }} */ ((await sent.getProgress())?.meta ?? {})
    if (pid !== undefined) tasks.set(pid, [...(tasks.get(pid) ?? []), sent])
  }
  return tasks
}
