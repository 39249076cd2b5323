import type { Logger } from '../contract/index.ts'

/** What the command line says about the services of the module that it serves. */
export interface RunSettings {
  /** Path or URL of the module, from which worker processes load the pipelines. */
  readonly module?: string | undefined
  /** Pipelines run in this process, also where a module is known. */
  readonly inProcess?: boolean | undefined
  /** Worker processes per model; in place of least and most. */
  readonly workers?: number | undefined
  /** Whether asynchronous jobs are executed by the server; otherwise by `kiq worker` elsewhere. */
  readonly jobsWorker?: boolean | undefined
  /** Of services that were not given one. */
  readonly log?: Logger | undefined
}

let current: RunSettings = {}

/** For services that are made from now on, in this process. The command line calls it before it loads the module. */
export function setRunSettings(settings: RunSettings): void {
  current = settings
}

export function runSettings(): RunSettings {
  return current
}
