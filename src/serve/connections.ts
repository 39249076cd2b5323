import { mkdir } from 'node:fs/promises'

import { ConfigError } from '../contract/index.ts'
import type { Logger } from '../contract/index.ts'
import type { Broker } from '../core/index.ts'
import type { ServeConfig } from './config/index.ts'
import { Jobs, WebhookSender } from './jobs/index.ts'
import type { JobModel } from './jobs/index.ts'
import type { ServeMetrics } from './metrics.ts'
import type { QueueBackend } from './queue-backend.ts'
import { createQueueBackend, QueueSender } from './queues/index.ts'
import type { ServiceModel } from './service-model.ts'
import type { ServiceOptions } from './service-options.ts'

/** Folder for what a service keeps, in the working directory. */
const FOLDER = '.kiq'

/** What a service is connected to. */
export interface Connections {
  readonly broker: Broker
  readonly jobs: Jobs
  readonly sender: QueueSender
  /** Waits that long for messages that are under way. */
  readonly closeQueues: (timeoutMs: number) => Promise<void>
  readonly closeBroker: () => Promise<void>
}

export interface ConnectParts {
  readonly config: ServeConfig
  readonly options: Pick<ServiceOptions, 'broker' | 'queueBackend'>
  readonly models: ReadonlyMap<string, ServiceModel>
  readonly metrics: ServeMetrics
  readonly log: Logger
  /** Whether jobs are executed here, once they are started. */
  readonly executes: boolean
  readonly onWorkerStart: () => Promise<void>
  readonly onWorkerEnd: () => Promise<void>
}

/** Makes the broker with the tasks of the jobs, and what they send with. Nothing is opened before it is needed. */
export async function connect(parts: ConnectParts): Promise<Connections> {
  const { config, options, metrics, log } = parts
  const backend = options.queueBackend ?? (await openQueueBackend(config, log))
  const sender = new QueueSender({ backend, logger: log })
  const broker = options.broker ?? (await openBroker(config, log))
  const { timeout, resultTtl, webhookSecret, webhookHosts } = config.appSettings.asyncConfig
  const jobs = new Jobs({
    broker,
    ownsBroker: false,
    appName: config.appName,
    models: jobModels(parts),
    sender,
    webhooks: new WebhookSender({ secret: webhookSecret ?? undefined, allowedHosts: webhookHosts, logger: log }),
    timeoutMs: timeout * 1_000,
    resultTtlMs: resultTtl * 1_000,
    log,
    executes: parts.executes,
    onJob: (model, state) => metrics.job(model, state),
    onWebhook: (outcome) => metrics.webhook(outcome),
  })
  broker.on('workerStartup', async () => await parts.onWorkerStart())
  broker.on('workerShutdown', async () => await parts.onWorkerEnd())
  return {
    broker,
    jobs,
    sender,
    closeQueues: async (timeoutMs) => {
      await sender.drain({ timeout: timeoutMs })
      if (options.queueBackend === undefined) await backend.close?.()
    },
    closeBroker: async () => {
      if (options.broker === undefined) await broker.shutdown()
    },
  }
}

/** Twice as many jobs as are in work at once, so that the next batch is there when one ends. */
function jobModels({ models }: ConnectParts): ReadonlyMap<string, JobModel> {
  const entries = [...models.values()].map((model): [string, JobModel] => [
    model.name,
    {
      infer: async (input, how) => await model.infer(await model.parse(input), how),
      concurrency: 2 * model.batching.maxBatchSize * (model.batching.concurrency ?? 1),
    },
  ])
  return new Map(entries)
}

/** The broker that keeps the jobs: by `async_config.broker_url`, else a file of the service's name. */
async function openBroker(config: ServeConfig, logger: Logger): Promise<Broker> {
  const { createBroker } = await import('../connect.ts')
  const { brokerUrl, resultTtl } = config.appSettings.asyncConfig
  const options = { logger, resultTtl: resultTtl * 1_000 }
  if (brokerUrl !== null) return await createBroker(brokerUrl, options)
  await mkdir(FOLDER, { recursive: true })
  return await createBroker(`sqlite:${FOLDER}/serve-${encodeURIComponent(config.appName)}.db`, options)
}

/**
 * The queue backend of `queue_config`. It opens its connections when it sends.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` for a backend that is not known, or that needs another URL.
 */
async function openQueueBackend(config: ServeConfig, logger: Logger): Promise<QueueBackend> {
  const { backend, brokerUrl } = config.appSettings.queueConfig
  const isMemory = brokerUrl.startsWith('memory:')
  if (backend === 'taskiq') {
    if (isMemory) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        `The queue backend "taskiq" sends tasks to other processes, which ${brokerUrl} does not reach. Set ` +
          '`queue_config.broker_url`, for example to redis://localhost:6379.',
      )
    }
    const { createBroker } = await import('../connect.ts')
    return createQueueBackend(backend, { broker: await createBroker(brokerUrl, { logger }), logger })
  }
  return createQueueBackend(backend, { logger, ...(isMemory ? {} : { url: brokerUrl, brokerUrl }) })
}
