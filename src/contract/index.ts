export { checkSchedule } from './check-schedule.ts'
export { systemClock } from './clock.ts'
export type { Clock } from './clock.ts'
export { durationOption } from './duration-option.ts'
export {
  BrokerError,
  ConfigError,
  ERROR_CODES,
  KiqError,
  MessageError,
  PartialSendError,
  ResultError,
  ScheduleError,
} from './errors.ts'
export type { ErrorCode, KiqErrorOptions } from './errors.ts'
export type { FormattedMessage, Formatter } from './formatter.ts'
export type {
  AllKey,
  Dependency,
  Deps,
  DepsOrThunk,
  InjectedCall,
  InjectedTask,
  Invocation,
  Key,
  LazyKey,
  OptionalKey,
  Provider,
  TaskInjector,
  Thrown,
  Token,
  Value,
  Values,
} from './injection.ts'
export { silentLogger } from './logger.ts'
export type { Logger } from './logger.ts'
export type { Body, Labels, SendOnce, TaskMessage, WireMessage } from './message.ts'
export type { FailureControl, MaybePromise, Middleware, RetryOptions } from './middleware.ts'
export type { ResultBackend, ResultBackendCapabilities, ResultRecord } from './result-backend.ts'
export type { Failure, Progress, TaskFailure, TaskResult, TaskSuccess } from './result.ts'
export { resumedState } from './schedule-source.ts'
export { scheduleFromRecord, scheduleToRecord } from './schedule-record.ts'
export type { ScheduleRecord } from './schedule-record.ts'
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
} from './schedule-source.ts'
export type { Serializer } from './serializer.ts'
export type { SchemaInput, SchemaIssue, SchemaOutcome, SchemaOutput, StandardSchema } from './standard-schema.ts'
export type {
  CancelOutcome,
  DeadLetter,
  DeadLetterFilter,
  DeadLetters,
  Delivery,
  QueueDepth,
  ReceiveOptions,
  SettleOutcome,
  Settlement,
  Transport,
  TransportCapabilities,
  TransportStart,
} from './transport.ts'
