import type { ServeConfig } from '../config/settings.ts'

/** MiB for the process that answers requests, beside the workers. */
const SERVER_MEMORY = 512

export interface Resources {
  /** CPUs; `undefined`: no limit. */
  readonly cpu: number | undefined
  /** MiB; `undefined`: no limit. */
  readonly memory: number | undefined
  /** Says how the figures come about. */
  readonly text: string
}

/**
 * What one container may use. The configuration counts for a worker process.
 *
 * @param workers - Worker processes of a model in the container.
 */
export function resourcesOf(config: ServeConfig, workers: number): Resources {
  const { cpu, memory } = config.appSettings.deploymentConfig
  const models = Math.max(1, Object.keys(config.modelSettings.modelEntries).length)
  const count = models * workers
  const parts = [
    ...(cpu === null || cpu === 0 ? [] : [`cpu ${cpu} × ${count}`]),
    ...(memory === null ? [] : [`memory ${memory} × ${count} + ${SERVER_MEMORY} for the server`]),
  ]
  return {
    cpu: cpu === null || cpu === 0 ? undefined : Math.max(0.001, Math.round(cpu * count * 1000) / 1000),
    memory: memory === null ? undefined : memory * count + SERVER_MEMORY,
    text: `${parts.join(', ')}: ${models} model(s) with ${workers} worker process(es) each.`,
  }
}
