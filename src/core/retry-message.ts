import type { Labels, TaskMessage } from '../contract/index.ts'

/** Label in which Taskiq's `requeue` counts. */
const REQUEUE_LABEL = 'X-Taskiq-requeue'
/** Label in which Taskiq's retry middlewares count. */
const RETRIES_LABEL = '_retries'

/**
 * The message of the next attempt: same id and arguments, with the labels merged. The delay of the attempt before is not
 * inherited.
 */
export function nextAttempt(message: TaskMessage, delayMs: number, labels: Labels): TaskMessage {
  return {
    ...message,
    labels: {
      ...message.labels,
      delay: undefined,
      ...labels,
      ...(delayMs > 0 ? { delay: delayMs / 1000 } : {}),
    },
  }
}

/** Next attempt that counts as a retry. */
export function retryOf(message: TaskMessage, delayMs: number, labels: Labels): TaskMessage {
  return nextAttempt(message, delayMs, { [RETRIES_LABEL]: count(message, RETRIES_LABEL) + 1, ...labels })
}

/** Next attempt that counts as a requeue; the counter is text, as Taskiq writes it. */
export function requeueOf(message: TaskMessage, delayMs: number): TaskMessage {
  return nextAttempt(message, delayMs, { [REQUEUE_LABEL]: String(count(message, REQUEUE_LABEL) + 1) })
}

/** Next attempt of a message that was given up at that delivery: counted as if it had been a retry. */
export function keptRetryOf(message: TaskMessage, deliveryAttempt: number): TaskMessage {
  const retries = attemptOf(message, deliveryAttempt) - count(message, REQUEUE_LABEL)
  return nextAttempt(message, 0, { [RETRIES_LABEL]: retries })
}

/** Which execution a delivery is: 1 = the first. Counts retries, requeues and redeliveries. */
export function attemptOf(message: TaskMessage, deliveryAttempt: number): number {
  return count(message, RETRIES_LABEL) + count(message, REQUEUE_LABEL) + Math.max(1, deliveryAttempt)
}

function count(message: TaskMessage, label: string): number {
  const value = Number(message.labels[label] ?? 0)
  return Number.isSafeInteger(value) && value > 0 ? value : 0
}
