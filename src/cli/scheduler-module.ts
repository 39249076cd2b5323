import type { Broker } from '../core/index.ts'
import { LabelScheduleSource, Scheduler } from '../scheduler/index.ts'
import type { BrokerFactory, Exports, LoadedBroker, ModuleSettings, Target } from './broker-module.ts'
import {
  callFactory,
  calledName,
  invalid,
  isBroker,
  kindOf,
  loadExports,
  loadOthers,
  selectExport,
} from './broker-module.ts'

export interface LoadedScheduler extends Pick<LoadedBroker, 'discovered'> {
  readonly scheduler: Scheduler
}

/**
 * Imports the module and the others, and takes its scheduler: the export that was named, else the only scheduler. Where
 * that is a broker, or there is no scheduler, it is that of the broker, see {@link schedulerOf}.
 *
 * @throws {ConfigError} `KIQ_MODULE_INVALID`
 */
export async function loadScheduler(settings: ModuleSettings): Promise<LoadedScheduler> {
  const exports = await loadExports(settings)
  const chosen = await choose(exports, settings.target)
  const discovered = await loadOthers(settings)
  return { scheduler: isBroker(chosen) ? schedulerOf(chosen, exports, settings.target) : chosen, discovered }
}

/** The scheduler of that broker that the module exports; without one, a scheduler for what the tasks declare. */
export function schedulerOf(broker: Broker, exports: Exports, { module }: Target): Scheduler {
  const all = [...schedulersOf(exports)]
  const own = all.filter(([scheduler]) => scheduler.broker === broker)
  const [first, second] = own
  if (second) throw several(module, own)
  if (all[0] && !first) {
    throw invalid(
      `${module} exports the scheduler "${all[0][1]}", but of another broker. Make it with the broker that is used here, or ` +
        'do not export it.',
    )
  }
  return first?.[0] ?? new Scheduler(broker, [new LabelScheduleSource(broker)])
}

async function choose(exports: Exports, target: Target): Promise<Scheduler | Broker> {
  const { module, exportName } = target
  if (exportName === undefined) {
    const found = [...schedulersOf(exports)]
    if (found.length > 1) throw several(module, found)
    if (found[0]) return found[0][0]
  } else if (isScheduler(exports[exportName])) {
    return exports[exportName]
  }
  const selected: Broker | BrokerFactory = selectExport(exports, target)
  if (typeof selected !== 'function') return selected
  const made = await callFactory(selected, target)
  if (isScheduler(made) || isBroker(made)) return made
  throw invalid(`${calledName(target)} returned ${kindOf(made)}, neither a scheduler nor a broker. Return one.`)
}

/** Those of a module, each with one of its names. */
function schedulersOf(exports: Exports): ReadonlyMap<Scheduler, string> {
  const found = new Map<Scheduler, string>()
  for (const [name, value] of Object.entries(exports)) {
    if (isScheduler(value) && !found.has(value)) found.set(value, name)
  }
  return found
}

/** Looks at the shape: the module may import another copy of this package, where `instanceof` is false. */
function isScheduler(value: unknown): value is Scheduler {
  if (typeof value !== 'object' || value === null) return false
  const { run, nextRuns, sources, broker } = value as Readonly<Record<string, unknown>>
  return typeof run === 'function' && typeof nextRuns === 'function' && Array.isArray(sources) && isBroker(broker)
}

function several(module: string, found: readonly (readonly [Scheduler, string])[]): Error {
  const names = found.map(([, name]) => name)
  return invalid(
    `${module} exports ${names.length} schedulers: ${names.join(', ')}. Name the one to use: ${module}:${names[0] ?? ''}.`,
  )
}
