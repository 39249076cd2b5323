export { InMemoryScheduleSource } from '../adapters/memory/schedule-source.ts'
export type {
  DeleteScheduleOptions,
  FiredState,
  Schedule,
  ScheduleLead,
  ScheduleLedger,
  ScheduleRules,
  ScheduleSource,
  ScheduleState,
  WritableScheduleSource,
} from '../contract/index.ts'
export { CreatedSchedule } from '../core/index.ts'
export type { CronTrigger, ScheduleOptions, TaskSchedule } from '../core/index.ts'
export { LabelScheduleSource } from './label-schedule-source.ts'
export { Plan } from './plan.ts'
export type { Firing, PlanEvents, PlanOptions } from './plan.ts'
export { Scheduler } from './scheduler.ts'
export type { NextRunsOptions, PlannedRun, ScheduleInfo, SchedulerOptions, SchedulerRunOptions } from './scheduler.ts'
