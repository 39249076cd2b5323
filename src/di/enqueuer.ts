import type { Labels } from '../contract/index.ts'
import type { Kicker, Sendable, SentTask } from '../core/index.ts'
import type { TaskFacts } from './scope.ts'

/**
 * Sends tasks from within a task. They carry where they come from, in labels: `parent_id` is the id of the task that
 * sends, `root_id` that of the first in the chain; `traceparent` and `tracestate` are passed on.
 */
export interface Enqueuer {
  /** Sends a task; as `task.kiq()`. */
  kiq<A extends readonly unknown[], R>(task: Sendable<A, R>, ...args: A): Promise<SentTask<R>>
  /** Sends one task per entry; as `task.kiqMany()`. */
  kiqMany<A extends readonly unknown[], R>(task: Sendable<A, R>, calls: readonly A[]): Promise<SentTask<R>[]>
  /** Builder for one send with labels, delay or queue of its own; as `task.kicker()`. */
  kicker<A extends readonly unknown[], R>(task: Sendable<A, R>): Kicker<A, R>
}

/** Labels of W3C Trace Context. */
const TRACE_LABELS = ['traceparent', 'tracestate'] as const

/** Sends through the broker that runs the task, if it knows the other one; else through that one's own. */
export function createEnqueuer({ context, broker }: TaskFacts): Enqueuer {
  const { taskId, labels } = context
  const inherited: Labels = {
    parent_id: taskId,
    root_id: labels['root_id'] ?? taskId,
    ...Object.fromEntries(TRACE_LABELS.filter((name) => name in labels).map((name) => [name, labels[name]])),
  }
  const kicker = <A extends readonly unknown[], R>(task: Sendable<A, R>): Kicker<A, R> => {
    const one = task.kicker().withLabels(inherited)
    return broker.findTask(task.taskName) ? one.withBroker(broker) : one
  }
  return {
    kiq: (task, ...args) => kicker(task).kiq(...args),
    kiqMany: (task, calls) => kicker(task).kiqMany(calls),
    kicker,
  }
}
