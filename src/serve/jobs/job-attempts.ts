import { requeueTask } from '../../core/index.ts'
import type { TaskContext } from '../../core/index.ts'
import { sleep } from '../../util/abort.ts'

type Counted = Pick<TaskContext, 'attempt' | 'labels'>

const FIRST_MS = 1_000
const LONGEST_MS = 10_000

/** Executions of a job so far, this one included. One that was handed back before it was done is none. */
export function executionsOf(context: Counted): number {
  return context.attempt - requeuesOf(context)
}

/** How often this message was delivered: more than once, when a process ended with it. */
export function deliveriesOf(context: Counted): number {
  return executionsOf(context) - count(context, '_retries')
}

/**
 * Puts a message back on its queue, for a time that grows: it may be that nobody can take it yet.
 *
 * @param delays - Whether the transport keeps the time; otherwise it passes here.
 */
export async function handBack(context: TaskContext, delays: 'delays' | 'waits'): Promise<never> {
  const ms = Math.min(LONGEST_MS, FIRST_MS * (1 + requeuesOf(context)))
  if (delays === 'delays') throw requeueTask({ delay: ms })
  await sleep(ms, context.signal)
  context.signal.throwIfAborted()
  throw requeueTask()
}

function requeuesOf(context: Counted): number {
  return count(context, 'X-Taskiq-requeue')
}

/** Text or a number, depending on who has written it. */
function count({ labels }: Counted, label: string): number {
  const value = Number(labels[label] ?? 0)
  return Number.isSafeInteger(value) && value > 0 ? value : 0
}
