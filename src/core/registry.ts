import { ConfigError, ScheduleError } from '../contract/index.ts'
import type { TaskDefinition } from './task-definition.ts'

/** Task names → definitions of one broker. */
export class TaskRegistry {
  readonly #own = new Map<string, TaskDefinition>()

  /**
   * @throws {ConfigError} `KIQ_TASK_DUPLICATE` when the name is taken.
   * @throws {ScheduleError} `KIQ_SCHEDULE_INVALID` when the id of a schedule is.
   */
  add(definition: TaskDefinition): void {
    if (definition.schedules.length > 0) refuseSameSchedules(this.all(), definition)
    addOnce(this.#own, definition)
  }

  find(name: string): TaskDefinition | undefined {
    return this.#own.get(name) ?? shared.get(name)
  }

  all(): readonly TaskDefinition[] {
    return [...new Map([...shared, ...this.#own]).values()]
  }
}

/** Tasks that were declared before a broker was chosen; every broker of the process can execute them. */
const shared = new Map<string, TaskDefinition>()

export function addSharedTask(definition: TaskDefinition): void {
  addOnce(shared, definition)
}

function addOnce(tasks: Map<string, TaskDefinition>, definition: TaskDefinition): void {
  if (tasks.has(definition.name)) {
    throw new ConfigError(
      'KIQ_TASK_DUPLICATE',
      `A task named "${definition.name}" is registered already. Give each task its own name; was the module that ` +
        'declares it loaded twice under different paths?',
    )
  }
  tasks.set(definition.name, definition)
}

/** What is known of a schedule is kept under its id. */
function refuseSameSchedules(tasks: readonly TaskDefinition[], { name, schedules }: TaskDefinition): void {
  for (const { scheduleId } of schedules) {
    const other = tasks.find((task) => task.schedules.some((schedule) => schedule.scheduleId === scheduleId))
    if (other === undefined || other.name === name) continue
    throw new ScheduleError(
      'KIQ_SCHEDULE_INVALID',
      `The tasks "${other.name}" and "${name}" both declare a schedule "${scheduleId}". Give each its own \`scheduleId\`.`,
    )
  }
}

let collector: Set<unknown> | undefined

/** From now on every new broker of this process is kept here: how an isolate finds the brokers of the module it loads. */
export function collectBrokers(): Set<unknown> {
  return (collector ??= new Set())
}

/** Called by each broker when it is made. Collects only where {@link collectBrokers} asked for it. */
export function noteBroker(broker: unknown): void {
  collector?.add(broker)
}

/**
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` in a thread or process for isolated tasks: the module that declares the task
 *   is a whole program, which would run again there, and again in the isolates of that one.
 */
export function refuseInIsolate(what: string): void {
  if (collector === undefined) return
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `${what} was called where an isolated task loads its module: that module starts a program. Declare isolated tasks in a ` +
      'module that only declares, and start the broker in another.',
  )
}
