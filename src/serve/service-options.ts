import type { Logger, StandardSchema } from '../contract/index.ts'
import type { Broker } from '../core/index.ts'
import type { ServeConfig } from './config/index.ts'
import type { PipelineClass } from './in-process-host.ts'
import type { QueueBackend } from './queue-backend.ts'

/** Threads or processes for a pipeline. */
export interface WorkersOptions {
  /**
   * A process can always be killed. A thread begins faster and costs less to talk to, but one that computes in native code
   * cannot be ended without ending everything.
   *
   * @defaultValue `'process'`
   */
  readonly kind?: 'process' | 'thread' | undefined
  /**
   * `import.meta.url` of the module that exports the pipeline's class, or the service; workers load it.
   *
   * @defaultValue the module that `kiq serve` was given
   */
  readonly module?: string | undefined
  /** Workers that are kept. @defaultValue `deployment_config.min_containers`, at most `max` */
  readonly min?: number | undefined
  /** Most workers. @defaultValue `deployment_config.concurrency_limit`, else the larger of 1 and `min` */
  readonly max?: number | undefined
  /** Workers that are kept warm beyond those in use, so that a death costs no loading time. @defaultValue `0` */
  readonly spare?: number | undefined
  /**
   * Errors after which a worker is not to be trusted: it is replaced, and the batch is tried again in another.
   *
   * @defaultValue those of a GPU that has failed
   */
  readonly poison?: readonly RegExp[] | undefined
  /** Milliseconds between the end of a batch's time and the end of its worker. @defaultValue `500` */
  readonly abortGraceMs?: number | undefined
  /** Milliseconds for `setup` and `warmup`. @defaultValue `120_000` */
  readonly startTimeoutMs?: number | undefined
}

/** One model of a service. */
export interface ModelOptions<I, O> {
  readonly pipeline: PipelineClass<I, O>
  /** Checks every input before it waits for a batch. */
  readonly input: StandardSchema<unknown, I>
  /** Checks the fields of every successful output; without it they are sent as they are. */
  readonly output?: StandardSchema<unknown, O> | undefined
  /** What is different from `batch_config`. */
  readonly batching?:
    | {
        readonly maxBatchSize?: number | undefined
        readonly waitMs?: number | undefined
        readonly maxQueueSize?: number | undefined
        readonly adaptive?: boolean | undefined
        /** Seconds that a batch may run. */
        readonly timeout?: number | undefined
        /** What an input counts, > 0; needs `maxBatchWeight`. */
        readonly weigh?: ((input: I) => number) | undefined
        /** Most that the inputs of a batch may count together. */
        readonly maxBatchWeight?: number | undefined
      }
    | undefined
  /**
   * Where the pipeline runs; without it, in this process, on its event loop, unless `kiq serve` serves the module.
   */
  readonly workers?: WorkersOptions | undefined
}

/** What is said once for all models of a service. */
export interface ServiceOptions {
  /** Of `loadServeConfig()`. */
  readonly config: ServeConfig
  /** Where outcomes of asynchronous requests are announced. It stays the caller's: the service does not close it. */
  readonly queueBackend?: QueueBackend | undefined
  /**
   * Keeps asynchronous requests, and their outcomes. It stays the caller's: the service starts it if need be, and does not
   * shut it down.
   *
   * @defaultValue one made from `async_config.broker_url`
   */
  readonly broker?: Broker | undefined
  /** @defaultValue warnings and errors on standard error */
  readonly logger?: Logger | undefined
  /** Version that `/info`, `/openapi.json` and `/metrics` tell. @defaultValue `'0.0.0'` */
  readonly version?: string | undefined
}

/** A service with one model. More are added by `withModel`. */
export interface InferenceServiceOptions<I, O> extends ServiceOptions, Partial<ModelOptions<I, O>> {
  /** A key of `model_entries`. Needs `pipeline` and `input`. */
  readonly modelName?: string | undefined
}
