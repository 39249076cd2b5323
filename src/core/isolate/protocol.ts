import type { Failure, Progress, TaskMessage } from '../../contract/index.ts'
import type { Steering } from '../signals.ts'

/** Worker → isolate. */
export type ToIsolate =
  | {
      readonly type: 'run'
      /** Path or URL of the module that declares the task. */
      readonly module: string
      readonly args: readonly unknown[]
      readonly message: TaskMessage
      readonly attempt: number
    }
  | { readonly type: 'abort'; readonly reason: Failure }
  /** Ends it, after everything is closed. */
  | { readonly type: 'close' }
  | { readonly type: 'reply'; readonly call: number; readonly value?: unknown; readonly error?: Failure | undefined }

/** Isolate → worker. */
export type FromIsolate =
  | { readonly type: 'done'; readonly value: unknown }
  | { readonly type: 'failed'; readonly error: Failure }
  | { readonly type: 'signal'; readonly steering: Steering }
  | { readonly type: 'log'; readonly level: LogLevel; readonly fields: object; readonly message: string }
  | { readonly type: 'call'; readonly call: number; readonly request: IsolateRequest }

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** What the context of an isolated task asks of the worker. */
export type IsolateRequest =
  | { readonly kind: 'ack' }
  | { readonly kind: 'set-progress'; readonly progress: Progress }
  | { readonly kind: 'get-progress' }
