import { createHash } from 'node:crypto'

import type { Schedule, ScheduleSource } from '../contract/index.ts'
import type { Broker } from '../core/index.ts'

/**
 * The schedules that tasks declare with their option `schedule`. The modules with the tasks must be loaded.
 *
 * It keeps nothing by itself: who fires, what was fired and what is paused is kept beside the schedules of another source
 * of the scheduler, or where its option `ledger` says. Without either, and with several schedulers, each firing is sent
 * once only if the transport sees to it (`capabilities.deduplicates`).
 */
export class LabelScheduleSource implements ScheduleSource {
  readonly name = 'labels'
  readonly #broker: Pick<Broker, 'tasks'>

  constructor(broker: Pick<Broker, 'tasks'>) {
    this.#broker = broker
  }

  async startup(): Promise<void> {
    // Nothing to open.
  }

  async shutdown(): Promise<void> {
    // Nothing to close.
  }

  async getSchedules(): Promise<readonly Schedule[]> {
    return this.current()
  }

  /** The schedules of the tasks that are declared by now. */
  current(): readonly Schedule[] {
    return this.#broker.tasks.flatMap((task) => task.schedules)
  }

  /**
   * The same for all processes that declare the same schedules, and another one for each other application that keeps its
   * ledger in the same place.
   */
  get fingerprint(): string {
    const ids = this.current().map(({ scheduleId }) => scheduleId)
    return createHash('sha256').update(JSON.stringify(ids.sort())).digest('hex').slice(0, 16)
  }
}
