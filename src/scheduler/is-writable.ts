import type { ScheduleSource, WritableScheduleSource } from '../contract/index.ts'

/** Whether schedules can be added to a source and deleted from it. */
export function isWritable(source: ScheduleSource): source is WritableScheduleSource {
  return 'addSchedule' in source && 'deleteSchedule' in source
}
