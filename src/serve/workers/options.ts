import { ConfigError } from '../../contract/index.ts'
import type { Logger } from '../../contract/index.ts'
import { show } from '../../util/show.ts'
import type { PipelineContext } from '../pipeline.ts'
import type { WorkerKind } from './channel.ts'
import { findUncloneable } from './cloneable.ts'
import { POISON } from './poison.ts'

/** Why a worker was replaced: it ended by itself, did not end a batch in time, or cannot be trusted any more. */
export type RestartReason = 'died' | 'hung' | 'poisoned'

export interface WorkerHostOptions {
  /**
   * Processes can be ended whatever they do. A thread takes less memory and starts sooner, but only one that runs
   * JavaScript or WASM can be ended: native code that is terminated in a thread, such as a run of onnxruntime-node, may end
   * the whole process.
   */
  readonly kind: WorkerKind
  /** Path or file URL of the module that exports the pipeline, or the service that has it; TypeScript, too. */
  readonly module: string
  readonly modelName: string
  /** Name of the class. */
  readonly pipelineName: string
  /** What the pipeline is made with. It is cloned: instances of classes arrive as plain objects. */
  readonly context: Omit<PipelineContext, 'log'>
  /** Gets what the pipelines log, with `model` and `worker`: the id of the process or thread. */
  readonly log: Logger
  /**
   * Workers that are kept while there is nothing to do, ≥ 0. With 0 `start` starts none: the first batch waits for one.
   *
   * @defaultValue `1`
   */
  readonly minWorkers?: number | undefined
  /**
   * Most workers in use at once, ≥ 1.
   *
   * @defaultValue the larger of 1 and `minWorkers`
   */
  readonly maxWorkers?: number | undefined
  /**
   * Warm workers beyond those in use, and beyond `minWorkers`, ≥ 0: what takes the place of one that dies costs no load
   * time. There are at most `maxWorkers + spare` in all. With `minWorkers: 0` there are none while there is nothing to do.
   *
   * @defaultValue `0`
   */
  readonly spare?: number | undefined
  /**
   * Milliseconds after which a worker that is not needed ends.
   *
   * @defaultValue `180_000`
   */
  readonly idleTimeoutMs?: number | undefined
  /**
   * Batches at once in a worker, ≥ 1. When one has to be killed, the others of its worker run again elsewhere.
   *
   * @defaultValue `1`
   */
  readonly concurrency?: number | undefined
  /**
   * Further batches that a worker is given, ≥ 0, once all workers there may be have work. They wait there, so that it does
   * not stand still between two batches, and run elsewhere when it ends.
   *
   * @defaultValue `0`
   */
  readonly ahead?: number | undefined
  /**
   * Milliseconds that `setup` and `warmup` may take together, and `onModelsReload`.
   *
   * @defaultValue `120_000`
   */
  readonly startTimeoutMs?: number | undefined
  /**
   * Milliseconds between the abort of a batch and the kill of its worker.
   *
   * @defaultValue `500`
   */
  readonly abortGraceMs?: number | undefined
  /**
   * Further attempts for an input whose worker died, or which failed with an error of `poison`. Inputs that were in a
   * batch are first run again in halves, so that one that is to blame fails alone; that does not count.
   *
   * @defaultValue `1`
   */
  readonly retries?: number | undefined
  /**
   * After errors that match, by name and message or by those of a cause, the worker is replaced.
   *
   * @defaultValue {@link POISON}
   */
  readonly poison?: readonly RegExp[] | undefined
  /** Environment variables beyond those of this process. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /**
   * Environment variables of one worker.
   *
   * @param index - Its place, from 0 to `maxWorkers + spare - 1`. Whoever takes its place has the same.
   */
  readonly envFor?: ((index: number) => Readonly<Record<string, string>>) | undefined
  /**
   * Limit of the JavaScript heap in MiB; models of native libraries lie outside of it.
   *
   * @defaultValue Node's
   */
  readonly memoryMiB?: number | undefined
  /**
   * Priority of worker processes, −20 to 19; higher is lower. Threads have that of their process.
   *
   * @defaultValue `5`, so that HTTP stays responsive
   */
  readonly niceness?: number | undefined
  /** Is told of each worker that was ready and has to be replaced. */
  readonly onRestart?: ((reason: RestartReason) => void) | undefined
}

/** The options with their defaults. */
export interface WorkerSettings {
  readonly kind: WorkerKind
  readonly module: string
  readonly modelName: string
  readonly pipelineName: string
  readonly context: Omit<PipelineContext, 'log'>
  readonly log: Logger
  readonly minWorkers: number
  readonly maxWorkers: number
  readonly spare: number
  readonly idleTimeoutMs: number
  readonly concurrency: number
  readonly ahead: number
  readonly startTimeoutMs: number
  readonly abortGraceMs: number
  readonly retries: number
  readonly poison: readonly RegExp[]
  readonly env: Readonly<Record<string, string>>
  readonly envFor: (index: number) => Readonly<Record<string, string>>
  readonly memoryMiB: number | undefined
  readonly niceness: number
  readonly onRestart: (reason: RestartReason) => void
}

/** @throws {ConfigError} `KIQ_CONFIG_INVALID` for what is out of range, or cannot be cloned. */
export function resolveOptions(options: WorkerHostOptions): WorkerSettings {
  const { kind, module, modelName, pipelineName, context, log } = options
  const settings: WorkerSettings = {
    kind,
    module,
    modelName,
    pipelineName,
    context,
    log,
    minWorkers: count('minWorkers', options.minWorkers ?? 1, 0),
    maxWorkers: count('maxWorkers', options.maxWorkers ?? Math.max(1, options.minWorkers ?? 1), 1),
    spare: count('spare', options.spare ?? 0, 0),
    idleTimeoutMs: milliseconds('idleTimeoutMs', options.idleTimeoutMs ?? 180_000),
    concurrency: count('concurrency', options.concurrency ?? 1, 1),
    ahead: count('ahead', options.ahead ?? 0, 0),
    startTimeoutMs: milliseconds('startTimeoutMs', options.startTimeoutMs ?? 120_000),
    abortGraceMs: milliseconds('abortGraceMs', options.abortGraceMs ?? 500),
    retries: count('retries', options.retries ?? 1, 0),
    poison: options.poison ?? POISON,
    env: options.env ?? {},
    envFor: options.envFor ?? (() => ({})),
    memoryMiB: options.memoryMiB === undefined ? undefined : count('memoryMiB', options.memoryMiB, 1),
    niceness: count('niceness', options.niceness ?? 5, -20),
    onRestart: options.onRestart ?? (() => {}),
  }
  if (settings.minWorkers > settings.maxWorkers) {
    throw invalid('minWorkers', settings.minWorkers, `at most \`maxWorkers\`, which is ${settings.maxWorkers}`)
  }
  if (settings.niceness > 19) throw invalid('niceness', settings.niceness, 'a whole number from -20 to 19')
  const found = findUncloneable(context, 'context')
  if (found) {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `\`${found.path}\` of model "${modelName}" cannot be given to a worker: ${found.reason} Use plain data.`,
    )
  }
  return settings
}

function count(name: string, value: number, min: number): number {
  if (Number.isSafeInteger(value) && value >= min) return value
  throw invalid(name, value, `a whole number ≥ ${min}`)
}

function milliseconds(name: string, value: number): number {
  if (Number.isFinite(value) && value >= 0) return value
  throw invalid(name, value, 'milliseconds ≥ 0')
}

function invalid(name: string, value: unknown, wanted: string): ConfigError {
  return new ConfigError('KIQ_CONFIG_INVALID', `\`${name}\` of inference workers is ${show(value)}. Use ${wanted}.`)
}
