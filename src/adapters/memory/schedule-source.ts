import { checkSchedule } from '../../contract/index.ts'
import type { Schedule, WritableScheduleSource } from '../../contract/index.ts'

/** Keeps schedules in this object. Needs no `startup`; nothing survives the process. */
export class InMemoryScheduleSource implements WritableScheduleSource {
  readonly #schedules = new Map<string, Schedule>()

  async startup(): Promise<void> {
    // Nothing to open.
  }

  async shutdown(): Promise<void> {
    // Nothing to close: a later startup finds the schedules again.
  }

  async getSchedules(): Promise<readonly Schedule[]> {
    return [...this.#schedules.values()]
  }

  async addSchedule(schedule: Schedule): Promise<void> {
    checkSchedule(schedule)
    this.#schedules.set(schedule.scheduleId, { ...schedule })
  }

  async deleteSchedule(scheduleId: string): Promise<void> {
    this.#schedules.delete(scheduleId)
  }
}
