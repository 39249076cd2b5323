import type { TaskResult } from '../contract/index.ts'
import type { WaitOptions } from './results.ts'
import type { SentTask } from './sent-task.ts'

type Outcomes<T extends readonly SentTask[]> = {
  -readonly [K in keyof T]: T[K] extends SentTask<infer R> ? TaskResult<R> : never
}

/**
 * Waits for several tasks and returns their outcomes, in the order of the arguments. A failed task is an outcome, not an
 * exception.
 *
 * @throws {ResultError} `KIQ_RESULT_TIMED_OUT` when one has no result in time.
 */
export async function gather<const T extends readonly SentTask[]>(
  tasks: T,
  options: WaitOptions = {},
): Promise<Outcomes<T>> {
  return (await Promise.all(tasks.map((task) => task.waitResult(options)))) as Outcomes<T>
}
