import { checkSchedule } from '../../contract/index.ts'
import type { DeleteScheduleOptions, Schedule, ScheduleLedger, WritableScheduleSource } from '../../contract/index.ts'
import { MemoryScheduleLedger } from './schedule-ledger.ts'

/** Keeps schedules in this object. Needs no `startup`; nothing survives the process. */
export class InMemoryScheduleSource implements WritableScheduleSource {
  readonly ledger: ScheduleLedger = new MemoryScheduleLedger(() => this.#announce())
  readonly #schedules = new Map<string, Schedule>()
  readonly #listeners = new Set<() => void>()

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
    this.#announce()
  }

  async deleteSchedule(scheduleId: string, { ifTime }: DeleteScheduleOptions = {}): Promise<void> {
    if (ifTime !== undefined && this.#schedules.get(scheduleId)?.time !== ifTime) return
    if (this.#schedules.delete(scheduleId)) this.#announce()
  }

  watch(listener: () => void): () => void {
    // Its own function: the same one may watch twice.
    const tell = (): void => listener()
    this.#listeners.add(tell)
    return () => void this.#listeners.delete(tell)
  }

  #announce(): void {
    for (const listener of this.#listeners) listener()
  }
}
