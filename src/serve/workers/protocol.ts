import type { Failure } from '../../contract/index.ts'
import type { PipelineContext, PipelineOutput } from '../pipeline.ts'

/** What a worker needs to know to make its pipeline. */
export interface WorkerOrder {
  /** Path or URL. */
  readonly module: string
  readonly modelName: string
  /** Name of the class. */
  readonly pipelineName: string
  readonly context: Omit<PipelineContext, 'log'>
  /** Batches at once; further ones wait for each other. */
  readonly concurrency: number
  /** Of a process; `undefined` changes nothing. */
  readonly niceness: number | undefined
}

/** Host → worker. */
export type ToWorker =
  | { readonly type: 'start'; readonly order: WorkerOrder }
  | {
      readonly type: 'run'
      readonly batch: number
      readonly inputs: readonly unknown[]
      readonly followed?: ReadonlySet<number> | undefined
    }
  | { readonly type: 'abort'; readonly batch: number; readonly reason: Failure }
  /** So many more outputs and progress values were consumed. */
  | { readonly type: 'consumed'; readonly batch: number; readonly count: number }
  | { readonly type: 'logged'; readonly count: number }
  | { readonly type: 'ask-health' }
  | { readonly type: 'reload' }
  /** Ends it, after `teardown`. */
  | { readonly type: 'stop' }

/** Worker → host. */
export type FromWorker =
  | { readonly type: 'ready'; readonly canReload: boolean }
  | { readonly type: 'failed'; readonly error: Failure }
  | { readonly type: 'output'; readonly batch: number; readonly index: number; readonly output: unknown }
  | { readonly type: 'progress'; readonly batch: number; readonly index: number; readonly value: unknown }
  | { readonly type: 'done'; readonly batch: number; readonly outcomes: readonly SentOutcome[] }
  | { readonly type: 'health'; readonly isHealthy: boolean }
  | { readonly type: 'reloaded'; readonly error?: Failure | undefined }
  | ({ readonly type: 'log' } & LogRecord)
  /** The last one of a process. */
  | { readonly type: 'stopped' }

export type SentOutcome = { readonly output: PipelineOutput<unknown> } | { readonly failure: Failure }

export interface LogRecord {
  readonly level: LogLevel
  readonly fields: Readonly<Record<string, unknown>>
  /** Fields that are errors. */
  readonly errors: Readonly<Record<string, Failure>>
  readonly message: string
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Outputs and progress values of a batch that may be on their way; the worker waits with further ones. */
export const WINDOW = 32

/** The host tells of that many consumed ones at once. */
export const CONSUMED_STEP = 8

/** Log records that may be on their way; the worker drops further ones. */
export const LOG_WINDOW = 1_000

/** The host tells of that many logged ones at once. */
export const LOGGED_STEP = 100
