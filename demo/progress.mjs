/** Shows how far the demo is: a bar in a terminal, a line at every tenth elsewhere. */
import { MultiBar } from 'cli-progress'

/**
 * @typedef {object} ProgressView
 * @property {(done: number, facts: Facts) => void} update
 * @property {(text: string) => void} note - Shows a line; the bar stays below.
 * @property {() => void} stop
 */

/** @typedef {{ rate: number, pids: readonly number[] }} Facts */

/**
 * @param {number} total
 * @returns {ProgressView}
 */
export function showProgress(total) {
  return process.stdout.isTTY ? showBar(total) : showLines(total)
}

/**
 * @param {number} total
 * @returns {ProgressView}
 */
function showBar(total) {
  const bars = new MultiBar({
    stream: process.stdout,
    format: '{bar} {value}/{total}  {rate} files/s  workers {pids}',
    barsize: 28,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    forceRedraw: true,
  })
  const bar = bars.create(total, 0, { rate: 0, pids: '…' })
  return {
    update: (done, { rate, pids }) => bar.update(done, { rate: rate.toFixed(0), pids: pids.join(' ') }),
    note: (text) => bars.log(`${text}\n`),
    stop: () => {
      // Shows notes that are still waiting; `stop` alone drops them.
      bars.update()
      bars.stop()
    },
  }
}

/**
 * @param {number} total
 * @returns {ProgressView}
 */
function showLines(total) {
  let shown = 0
  return {
    update: (done, { rate, pids }) => {
      const tenth = Math.floor((10 * done) / total)
      if (tenth <= shown) return
      shown = tenth
      console.log(`${done}/${total} files, ${rate.toFixed(0)} files/s, workers ${pids.join(' ')}`)
    },
    note: (text) => console.log(text),
    stop: () => {},
  }
}
