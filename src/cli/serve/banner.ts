import type { ServeConfig } from '../../serve/index.ts'
import type { LogFormat } from '../log.ts'
import type { LogLine } from '../worker/banner.ts'

export interface ServeFacts {
  readonly config: ServeConfig
  readonly models: readonly string[]
  readonly url: string
  readonly inProcess: boolean
  /** As the command line says. */
  readonly workers: number | undefined
  readonly jobsWorker: boolean
}

/** The first lines of a service: fields of one record for machines, text for people. */
export function bannerLines(facts: ServeFacts, format: LogFormat): readonly LogLine[] {
  const { config, models, url, inProcess, jobsWorker } = facts
  const docs = `${url}/docs`
  const [min, max] = processes(facts)
  if (format === 'json') {
    const workers = inProcess ? { inProcess } : { minWorkers: min, maxWorkers: max }
    const fields = { service: config.appName, url, docs, models, ...workers, jobsWorker }
    return [{ fields, message: 'The service answers requests.' }]
  }
  const count = min === max ? String(max) : `${min} to ${max}`
  return [
    `service  ${config.appName}`,
    `address  ${url}`,
    `docs     ${docs}`,
    `models   ${models.join(', ')}`,
    inProcess ? 'workers  none: models run in this process' : `workers  ${count} process(es) for a model`,
    ...(jobsWorker ? [] : ['jobs     only accepted here; `kiq worker` executes them']),
  ].map((message) => ({ fields: {}, message }))
}

/** Fewest and most for a model, where the module does not say otherwise. */
function processes({ config, workers }: ServeFacts): readonly [min: number, max: number] {
  const { minContainers, concurrencyLimit } = config.appSettings.deploymentConfig
  const max = workers ?? concurrencyLimit ?? Math.max(1, minContainers)
  return [workers ?? Math.min(minContainers, max), max]
}
