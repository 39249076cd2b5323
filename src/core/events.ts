import type { MaybePromise } from '../contract/index.ts'

/**
 * Free space of one broker in one process: connections, models, settings. Filled in event handlers, read by tasks
 * through `context().state`. Never travels.
 */
export interface State {
  [key: string]: unknown
}

/** `worker…` in processes that execute tasks, `client…` in those that only send. An in-memory broker is both. */
export type BrokerEvent = 'workerStartup' | 'workerShutdown' | 'clientStartup' | 'clientShutdown'

export type EventHandler = (state: State) => MaybePromise<void>
