/** @type {Set<() => void>} */
const actions = new Set()

/**
 * Runs `action`, which must be synchronous, when this process ends in any way but SIGKILL before the returned function
 * was called.
 *
 * @param {() => void} action
 */
export function atExit(action) {
  if (actions.size === 0) {
    process.on('exit', cleanUp)
    process.on('SIGINT', onInterrupt)
    process.on('SIGTERM', onTerminate)
  }
  actions.add(action)
  return () => {
    actions.delete(action)
    if (actions.size > 0) return
    process.off('exit', cleanUp)
    process.off('SIGINT', onInterrupt)
    process.off('SIGTERM', onTerminate)
  }
}

const onInterrupt = () => process.exit(130)
const onTerminate = () => process.exit(143)

function cleanUp() {
  for (const action of actions) action()
}

/**
 * Kills a process that was started with `detached` together with those that it started.
 *
 * @param {import('node:child_process').ChildProcess} child
 */
export function killGroup({ pid }) {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ESRCH') throw error
  }
}

/**
 * A command for a process that does not read its standard input, and is killed, with its group, when that ends: it must
 * not outlive a bench that had no time to clean up.
 *
 * @param {readonly string[]} command
 */
export function boundToInput(command) {
  const guard = 'exec 3<&0; (cat <&3; kill -9 0) >/dev/null 2>&1 & exec 3<&-; exec "$@" </dev/null'
  return ['sh', '-c', guard, 'sh', ...command]
}
