export { InMemoryBroker } from './adapters/memory/memory-broker.ts'
export type { InMemoryBrokerOptions, WaitAllOptions } from './adapters/memory/memory-broker.ts'
export { createBroker } from './connect.ts'
export {
  BrokerError,
  ConfigError,
  ERROR_CODES,
  KiqError,
  MessageError,
  ResultError,
  ScheduleError,
  silentLogger,
} from './contract/index.ts'
export type {
  ErrorCode,
  Failure,
  FailureControl,
  Labels,
  Logger,
  Middleware,
  Progress,
  RetryOptions,
  TaskFailure,
  TaskMessage,
  TaskResult,
  TaskSuccess,
} from './contract/index.ts'
export {
  Broker,
  context,
  CreatedSchedule,
  gather,
  JsonSerializer,
  Kicker,
  noResult,
  rejectTask,
  requeueTask,
  retryTask,
  SentTask,
  sharedBroker,
  TaskError,
  TaskiqFormatter,
  tryContext,
  Worker,
} from './core/index.ts'
export type {
  AckType,
  BrokerEvent,
  BrokerOptions,
  CronTrigger,
  DeclareTask,
  EventHandler,
  Isolation,
  PositionalOptions,
  ProgressTracker,
  RecordOptions,
  RecordTask,
  RetryTaskOptions,
  ScheduleOptions,
  Sendable,
  SharedBroker,
  State,
  Task,
  TaskContext,
  TaskOptions,
  TaskSchedule,
  TaskSignal,
  WaitOptions,
  WorkerEnd,
  WorkerOptions,
} from './core/index.ts'
export { SimpleRetryMiddleware, SmartRetryMiddleware } from './middleware/index.ts'
export type { RetryOn, RetryPolicyOptions, SmartRetryOptions } from './middleware/index.ts'
export type { Duration } from './util/duration.ts'
