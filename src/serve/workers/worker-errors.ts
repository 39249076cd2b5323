import { KiqError } from '../../contract/index.ts'

/** Who it was: for the text of errors. */
export interface WorkerName {
  readonly kind: 'process' | 'thread'
  readonly id: number | undefined
  readonly modelName: string
}

export function diedWorking(worker: WorkerName, how: string, size: number): KiqError {
  return new KiqError(
    'KIQ_SERVE_WORKER_DIED',
    `The ${nameOf(worker)} ended with ${how} while it worked on a batch of ${size}. Look for a crash of a native ` +
      'library, process.exit() or the out-of-memory killer.',
  )
}

export function diedStarting(worker: WorkerName, how: string): KiqError {
  return new KiqError(
    'KIQ_SERVE_WORKER_DIED',
    `The ${nameOf(worker)} ended with ${how} before its pipeline was ready. Look at setup() and warmup() for a crash or ` +
      'process.exit(), and for a limit of memory.',
  )
}

export function startedTooSlowly(worker: WorkerName, ms: number): KiqError {
  return new KiqError(
    'KIQ_SERVE_TIMED_OUT',
    `The pipeline of the ${nameOf(worker)} was not ready within ${ms} ms. Look for what setup() and warmup() wait for, ` +
      'or allow them more time.',
  )
}

export function reloadedTooSlowly(worker: WorkerName, ms: number): KiqError {
  return new KiqError(
    'KIQ_SERVE_TIMED_OUT',
    `onModelsReload() of the ${nameOf(worker)} did not end within ${ms} ms. Look for what it waits for.`,
  )
}

export function cannotStart(modelName: string, attempts: number, cause: unknown): KiqError {
  const text = cause instanceof Error ? cause.message : String(cause)
  return new KiqError(
    'KIQ_SERVE_WORKER_DIED',
    `No worker of model "${modelName}" could be started: ${attempts} attempts in a row failed, the last with: ${text}`,
    { cause },
  )
}

export function notRunning(modelName: string): KiqError {
  return new KiqError(
    'KIQ_SERVE_STOPPING',
    `The workers of model "${modelName}" do not run. Start them first, and not after stop().`,
  )
}

export function unsendable(position: number, path: string, reason: string): KiqError {
  return new KiqError(
    'KIQ_ARGUMENTS_UNSERIALIZABLE',
    `Input ${position} of a batch cannot be given to a worker: ${path}: ${reason} Send data, without functions.`,
  )
}

function nameOf({ kind, id, modelName }: WorkerName): string {
  return `${kind} ${id ?? 'that was started'} of model "${modelName}"`
}
