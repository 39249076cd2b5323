import type { AckType } from '../../core/index.ts'
import type { Terminal } from '../log.ts'
import { logSettings } from '../log-options.ts'
import type { LogOptions } from '../log-options.ts'
import type { ModuleOptions } from '../module-options.ts'
import { moduleSettings } from '../module-options.ts'
import type { ChildSettings } from './messages.ts'

/** Options of `kiq worker`, as commander hands them over. */
export interface WorkerFlags extends ModuleOptions, LogOptions {
  readonly processes: number
  readonly concurrency: number
  readonly prefetch: number
  readonly queues?: readonly string[] | undefined
  readonly ackType?: AckType | undefined
  readonly maxDeliveries?: number | undefined
  readonly maxTasksPerChild?: number | undefined
  readonly withScheduler?: true | undefined
  readonly maxFails: number
  /** Milliseconds, as every duration here. */
  readonly waitTasksTimeout: number
  readonly shutdownTimeout: number
  readonly abortGrace: number
  readonly startTimeout: number
  readonly hardkillCount: number
  readonly reload?: true | undefined
  readonly reloadDir?: readonly string[] | undefined
  readonly doNotUseGitignore?: true | undefined
  readonly healthPort?: number | undefined
  readonly healthHost: string
}

/** Options of `kiq worker`, resolved. */
export interface WorkerSettings {
  readonly processes: number
  readonly maxFails: number
  readonly hardkillCount: number
  readonly child: ChildSettings
  /** `undefined` = do not watch files. */
  readonly reload: ReloadSettings | undefined
  /** `undefined` = no health server. */
  readonly health: { readonly host: string; readonly port: number } | undefined
}

export interface ReloadSettings {
  readonly dirs: readonly string[]
  readonly gitignore: 'use' | 'ignore'
}

export function workerSettings(
  target: string,
  modules: readonly string[],
  flags: WorkerFlags,
  terminal: Terminal,
): WorkerSettings {
  return {
    // Several processes would each load the new code at their own time.
    processes: flags.reload ? 1 : flags.processes,
    maxFails: flags.maxFails,
    hardkillCount: flags.hardkillCount,
    child: {
      modules: moduleSettings(target, modules, flags),
      log: logSettings(flags, terminal),
      deadlines: {
        waitTasksMs: flags.waitTasksTimeout,
        abortGraceMs: flags.abortGrace,
        shutdownMs: flags.shutdownTimeout,
        startMs: flags.startTimeout,
      },
      queues: flags.queues,
      concurrency: flags.concurrency,
      prefetch: flags.prefetch,
      ackType: flags.ackType,
      maxDeliveries: flags.maxDeliveries,
      maxTasks: flags.maxTasksPerChild,
      withScheduler: flags.withScheduler ?? false,
    },
    reload: flags.reload && {
      dirs: flags.reloadDir ?? ['.'],
      gitignore: flags.doNotUseGitignore ? 'ignore' : 'use',
    },
    health: flags.healthPort === undefined ? undefined : { host: flags.healthHost, port: flags.healthPort },
  }
}
