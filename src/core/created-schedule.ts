import type { Schedule, WritableScheduleSource } from '../contract/index.ts'
import type { SentTask } from './sent-task.ts'

/** Handle of a schedule that was added to a source. */
export class CreatedSchedule<R = unknown> {
  readonly schedule: Schedule
  readonly #source: WritableScheduleSource
  readonly #send: () => Promise<SentTask<R>>

  /** @internal Use `task.scheduleByCron()` and the like. */
  constructor(schedule: Schedule, source: WritableScheduleSource, send: () => Promise<SentTask<R>>) {
    this.schedule = schedule
    this.#source = source
    this.#send = send
  }

  get scheduleId(): string {
    return this.schedule.scheduleId
  }

  /** Takes the schedule out of its source. Harmless when it is gone; what was sent already runs all the same. */
  async unschedule(): Promise<void> {
    await this.#source.deleteSchedule(this.scheduleId)
  }

  /** Sends the task now, once, besides what the schedule says. */
  async kiq(): Promise<SentTask<R>> {
    return await this.#send()
  }
}
