import type { Logger } from '../../contract/index.ts'
import type { ServeConfig } from '../config/index.ts'
import type { Jobs } from '../jobs/index.ts'
import type { ServeMetrics } from '../metrics.ts'
import type { ServiceModel } from '../service-model.ts'

/** What routes know of a service. */
export interface Served {
  readonly config: ServeConfig
  readonly version: string
  readonly log: Logger
  readonly metrics: ServeMetrics
  readonly models: ReadonlyMap<string, ServiceModel>
  readonly jobs: Jobs
  /** Whether every model has been ready once. */
  readonly hasStarted: boolean
  readonly startedAt: Date
  /** Aborts when the service closes: streams without an end of their own end then. */
  readonly closing: AbortSignal
  /** Whether every model can serve now; asks their pipelines, at most every half second. */
  isReady(): Promise<boolean>
}
