import { resolve } from 'node:path'

import { ConfigError, KiqError } from '../contract/index.ts'
import type { Logger } from '../contract/index.ts'
import { nearest } from '../util/nearest.ts'
import type { ServeConfig } from './config/index.ts'
import { InProcessHost } from './in-process-host.ts'
import type { PipelineClass } from './in-process-host.ts'
import type { ServeMetrics } from './metrics.ts'
import { gpusOf } from './manifest/gpu.ts'
import type { PipelineContext } from './pipeline.ts'
import type { PipelineHost } from './pipeline-host.ts'
import type { RunSettings } from './run-settings.ts'
import { ServiceModel } from './service-model.ts'
import type { ModelOptions, WorkersOptions } from './service-options.ts'
import { POISON, WorkerHost } from './workers/index.ts'

/** Full batches that wait in a worker, so that it does not stand still while outputs travel. */
const AHEAD = 1

export interface ModelParts<I, O> {
  readonly name: string
  readonly options: ModelOptions<I, O>
  readonly config: ServeConfig
  readonly run: RunSettings
  readonly metrics: ServeMetrics
  readonly log: Logger
}

/**
 * A model from what the program and the configuration say of it.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` when the configuration does not have it, or an option is out of range.
 */
export function makeModel<I, O extends object>(parts: ModelParts<I, O>): ServiceModel {
  const { name, options, config, metrics, log } = parts
  const context: PipelineContext = { ...pipelineContext(name, config), log }
  const workers = workersOf(parts)
  const { batchConfig, deploymentConfig } = config.appSettings
  const own = options.batching ?? {}
  const timeout = own.timeout ?? batchConfig.timeout
  const createHost =
    workers === undefined
      ? () => new InProcessHost(options.pipeline, context, { abortGraceMs: options.workers?.abortGraceMs })
      : () => workerHost(parts, workers)
  return new ServiceModel({
    name,
    input: options.input,
    output: options.output,
    streams: isGenerator((options.pipeline.prototype as { readonly predict?: unknown }).predict),
    // What a model takes and gives is checked by its schemas.
    createHost: createHost,
    batching: {
      maxBatchSize: own.maxBatchSize ?? batchConfig.maxBatchSize,
      waitMs: own.waitMs ?? batchConfig.waitMs,
      maxQueueSize: own.maxQueueSize ?? batchConfig.maxQueueSize,
      adaptive: own.adaptive ?? batchConfig.adaptive,
      weigh: own.weigh as ((input: unknown) => number) | undefined,
      maxBatchWeight: own.maxBatchWeight,
      timeoutMs: timeout === null ? undefined : timeout * 1_000,
      concurrency: (workers?.max ?? 1) * deploymentConfig.allowConcurrentInputs,
      ahead: (workers?.max ?? 0) * AHEAD,
    },
    log,
    onFailed: (error) => metrics.itemFailed(name, KiqError.is(error) ? error.code : 'error'),
    onBatch: ({ size, ms, waitedMs }) => {
      metrics.batch(name, { size, seconds: ms / 1_000 })
      for (const waited of waitedMs) metrics.queueWait(name, waited / 1_000)
    },
  })
}

function pipelineContext(name: string, { modelSettings, appSettings }: ServeConfig): Omit<PipelineContext, 'log'> {
  const { modelEntries, common, localModelRepositoryFolder } = modelSettings
  if (!Object.hasOwn(modelEntries, name)) {
    const names = Object.keys(modelEntries)
    const near = nearest(name, names)
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `Model "${name}" is not in \`model_settings.model_entries\`${near === undefined ? '.' : `; did you mean "${near}"?`} ` +
        `It has: ${names.join(', ') || 'nothing'}. Add it, with {} if it needs no settings.`,
    )
  }
  const entry = modelEntries[name]
  const { cpu } = appSettings.deploymentConfig
  return {
    modelName: name,
    modelFolder: resolve(localModelRepositoryFolder),
    common,
    settings: typeof entry === 'object' && entry !== null ? (entry as Readonly<Record<string, unknown>>) : {},
    threads: cpu === null ? undefined : Math.max(1, Math.floor(cpu)),
  }
}

type HostWorkers = WorkersOptions & { readonly module: string; readonly min: number; readonly max: number }

/** What is known of the workers of a model; `undefined` where it runs in this process. */
function workersOf<I, O>({ options, config, run }: ModelParts<I, O>): HostWorkers | undefined {
  const module = options.workers?.module ?? run.module
  if (run.inProcess === true || (options.workers === undefined && run.module === undefined)) return undefined
  if (module === undefined) {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      'Worker processes load the pipeline from its module, and it is not known. Add `workers: { module: import.meta.url }`, ' +
        'or start the service with `kiq serve`.',
    )
  }
  const { minContainers, concurrencyLimit } = config.appSettings.deploymentConfig
  const given = options.workers ?? {}
  const max = run.workers ?? given.max ?? concurrencyLimit ?? Math.max(1, given.min ?? minContainers)
  const min = run.workers ?? Math.min(given.min ?? minContainers, max)
  return { ...given, module, min, max }
}

function workerHost<I, O extends object>(
  { name, options, config, metrics, log }: ModelParts<I, O>,
  workers: HostWorkers,
): PipelineHost<I, O> {
  const { deploymentConfig } = config.appSettings
  return new WorkerHost<I, O>({
    kind: workers.kind ?? 'process',
    module: workers.module,
    modelName: name,
    pipelineName: options.pipeline.name,
    context: pipelineContext(name, config),
    log,
    minWorkers: workers.min,
    maxWorkers: workers.max,
    spare: workers.spare,
    idleTimeoutMs: deploymentConfig.containerIdleTimeout * 1_000,
    concurrency: deploymentConfig.allowConcurrentInputs,
    ahead: AHEAD,
    startTimeoutMs: workers.startTimeoutMs,
    abortGraceMs: workers.abortGraceMs,
    retries: deploymentConfig.retries,
    poison: workers.poison ?? POISON,
    memoryMiB: deploymentConfig.memory ?? undefined,
    envFor: (index) => deviceOf(deploymentConfig.gpu, index),
    onRestart: (reason) => metrics.workerRestart(name, reason),
  })
}

/** Each worker gets one of the devices that are named by number or id. Names of kinds, as A100, choose nothing here. */
function deviceOf(devices: readonly string[], index: number): Readonly<Record<string, string>> {
  const named = gpusOf(devices).devices
  const device = named[index % named.length]
  return device === undefined ? {} : { CUDA_VISIBLE_DEVICES: device }
}

function isGenerator(predict: unknown): boolean {
  return typeof predict === 'function' && predict.constructor.name === 'AsyncGeneratorFunction'
}

/** Any class of a pipeline. */
export type AnyPipelineClass = PipelineClass<never, unknown>
