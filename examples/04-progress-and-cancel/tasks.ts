import { setTimeout as sleep } from 'node:timers/promises'

import { context } from 'kiq'
import { SqliteBroker } from 'kiq/sqlite'

export const broker = new SqliteBroker({ path: '.kiq/queue.db' })

export interface Step {
  readonly step: number
  readonly steps: number
}

/** Works in steps of 20 ms. */
export const work = broker.task('work', async (steps: number) => {
  const { progress, signal } = context()
  for (let step = 1; step <= steps; step += 1) {
    await progress.set('RUNNING', { step, steps } satisfies Step)
    // Whatever waits should get the signal: a task that does not listen cannot be stopped, only given up.
    await sleep(20, undefined, { signal })
  }
  return `did ${steps} steps`
})
