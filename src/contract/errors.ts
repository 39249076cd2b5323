/** Every code this package can throw. `docs/errors.md` has one entry per code; a test keeps both lists equal. */
export const ERROR_CODES = [
  'KIQ_CONFIG_INVALID',
  'KIQ_PEER_MISSING',
  'KIQ_MODULE_INVALID',
  'KIQ_TASK_DUPLICATE',
  'KIQ_TASK_UNKNOWN',
  'KIQ_BROKER_NOT_STARTED',
  'KIQ_BROKER_MISSING',
  'KIQ_SEND_FAILED',
  'KIQ_SEND_TIMED_OUT',
  'KIQ_TRANSPORT_FAILED',
  'KIQ_ARGUMENTS_INVALID',
  'KIQ_ARGUMENTS_UNSERIALIZABLE',
  'KIQ_ARGUMENT_INJECTED',
  'KIQ_LABEL_INVALID',
  'KIQ_MESSAGE_UNDECODABLE',
  'KIQ_MESSAGE_POISONED',
  'KIQ_MESSAGE_NOT_KEPT',
  'KIQ_TASK_FAILED',
  'KIQ_TASK_TIMED_OUT',
  'KIQ_TASK_CANCELLED',
  'KIQ_TASK_REJECTED',
  'KIQ_LEASE_LOST',
  'KIQ_WORKER_STOPPED',
  'KIQ_ISOLATE_DIED',
  'KIQ_NO_CONTEXT',
  'KIQ_NO_RESULT_BACKEND',
  'KIQ_RESULT_TIMED_OUT',
  'KIQ_RESULT_UNREADABLE',
  'KIQ_RESULT_UNSERIALIZABLE',
  'KIQ_RESULT_BACKEND_FAILED',
  'KIQ_SCHEDULE_INVALID',
  'KIQ_SCHEDULE_UNKNOWN',
  'KIQ_DI_INVALID',
  'KIQ_DI_MISSING',
  'KIQ_DI_CYCLE',
  'KIQ_DI_CAPTIVE',
  'KIQ_DI_DUPLICATE',
  'KIQ_DI_HOOK_SCOPED',
  'KIQ_DI_TRANSIENT_HELD',
  'KIQ_DI_SAME_NAME',
  'KIQ_DI_UNUSED',
  'KIQ_DI_NOT_SET_UP',
  'KIQ_DI_ASYNC',
  'KIQ_DI_NO_SCOPE',
  'KIQ_DI_SCOPE_CLOSED',
  'KIQ_DI_TRANSIENT_AT_ROOT',
  'KIQ_DI_LAZY_TOO_EARLY',
  'KIQ_DI_PROVIDER_FAILED',
  'KIQ_DI_NO_YIELD',
  'KIQ_DI_YIELDED_TWICE',
  'KIQ_DI_DISPOSE_FAILED',
  'KIQ_DI_DISPOSE_TIMED_OUT',
  'KIQ_SERVE_BUSY',
  'KIQ_SERVE_STOPPING',
  'KIQ_SERVE_TIMED_OUT',
  'KIQ_SERVE_WORKER_DIED',
  'KIQ_SERVE_MODEL_UNKNOWN',
  'KIQ_SERVE_JOB_UNKNOWN',
  'KIQ_SERVE_JOB_STATE',
  'KIQ_SERVE_KEY_REUSED',
  'KIQ_PIPELINE_INVALID',
  'KIQ_UNSUPPORTED',
] as const

export type ErrorCode = (typeof ERROR_CODES)[number]

/** What a {@link KiqError} carries besides its message. */
export interface KiqErrorOptions {
  /** The error that led to this one, usually the client library's own. */
  readonly cause?: unknown
}

/** Base of every error that Kiq itself throws. Match on {@link KiqError.code}, not on the message. */
export class KiqError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options: KiqErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.name = new.target.name
    this.code = code
  }

  /** True for errors of this package, also of another installed copy of it (where `instanceof` is false). */
  static is(value: unknown, code?: ErrorCode): value is KiqError {
    if (!(value instanceof Error) || !('code' in value)) return false
    return code === undefined ? (ERROR_CODES as readonly unknown[]).includes(value.code) : value.code === code
  }
}

/** The caller must change code or configuration; never worth retrying. */
export class ConfigError extends KiqError {}

/** The transport failed or could not be reached; `cause` is the driver's error. */
export class BrokerError extends KiqError {}

/**
 * Thrown by `Transport.send` when the engine took only some messages of a batch. Whoever sent the others is told that
 * they were accepted.
 */
export class PartialSendError extends BrokerError {
  /** Position in the batch → why that message was not accepted. Every position that is missing here was accepted. */
  readonly failures: ReadonlyMap<number, unknown>

  constructor(failures: ReadonlyMap<number, unknown>) {
    super('KIQ_SEND_FAILED', `The transport did not accept ${failures.size} message(s) of a batch. See \`failures\`.`, {
      cause: failures.values().next().value,
    })
    this.failures = failures
  }
}

/** A message or a value cannot be encoded or decoded; never retried. */
export class MessageError extends KiqError {}

/** A result could not be read, written or waited for. */
export class ResultError extends KiqError {}

/** A schedule that no source can keep or fire. */
export class ScheduleError extends KiqError {}
