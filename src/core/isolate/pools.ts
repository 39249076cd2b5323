import { ConfigError, KiqError } from '../../contract/index.ts'
import type { Failure } from '../../contract/index.ts'
import type { Execution } from '../execution.ts'
import { toFailure } from '../failure.ts'
import { TaskSignal } from '../signals.ts'
import type { TaskDefinition } from '../task-definition.ts'
import type { Isolate, IsolateKind } from './isolate.ts'
import { startIsolate } from './isolate.ts'
import type { FromIsolate, IsolateRequest } from './protocol.ts'

/** Milliseconds an unused isolate is kept for the next task. */
const IDLE_MS = 30_000

/** Milliseconds that one that is not needed any more may take to close what it opened. */
const CLOSE_MS = 10_000

interface IdleIsolate {
  readonly isolate: Isolate
  readonly timer: NodeJS.Timeout
}

/**
 * Threads and processes for tasks with `isolate`, one task at a time in each, kept for the next task of the same module.
 * Their number is bounded by the worker's concurrency.
 */
export class IsolatePools {
  readonly #module: string | undefined
  readonly #idle = new Map<string, IdleIsolate[]>()
  readonly #busy = new Set<Isolate>()
  #closed = false

  /** @param options.module - Of tasks that do not name theirs. */
  constructor(options: { readonly module: string | undefined }) {
    this.#module = options.module
  }

  /**
   * Runs one task. On abort the isolate gets the signal, and after `graceMs` it is killed.
   *
   * @throws the task's error as data, or the reason of the abort, or `KIQ_ISOLATE_DIED`.
   */
  async run(
    definition: TaskDefinition,
    args: readonly unknown[],
    execution: Execution,
    graceMs: number,
  ): Promise<unknown> {
    const kind = definition.isolate as IsolateKind
    const module = definition.module ?? this.#module
    if (module === undefined) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        `Task "${definition.name}" runs isolated, but the worker does not know its module. ` +
          'Declare the task with `module: import.meta.url`, or give the worker `module`.',
      )
    }
    const key = `${kind} ${module}`
    const isolate = this.#take(key, kind)
    this.#busy.add(isolate)
    isolate.setRef('ref')
    let reusable = false
    try {
      const outcome = await runIn(isolate, { module, args, execution, graceMs })
      reusable = true
      return unwrap(outcome)
    } catch (error) {
      if (error instanceof IsolatedFailure || error instanceof TaskSignal) reusable = true
      throw error instanceof IsolatedFailure ? error.original : error
    } finally {
      this.#busy.delete(isolate)
      if (reusable && !this.#closed && execution.abortedBy === undefined) this.#keep(key, isolate)
      else await isolate.kill()
    }
  }

  /** Ends all: idle ones may close what they opened, for so many milliseconds; busy ones are killed. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true
    const idle = [...this.#idle.values()].flat()
    this.#idle.clear()
    for (const { timer } of idle) clearTimeout(timer)
    const closing = idle.map(async ({ isolate }) => await isolate.close(graceMs))
    await Promise.all([...closing, ...[...this.#busy].map(async (isolate) => await isolate.kill())])
  }

  #take(key: string, kind: IsolateKind): Isolate {
    const kept = this.#idle.get(key)?.pop()
    if (kept === undefined) return startIsolate(kind)
    clearTimeout(kept.timer)
    return kept.isolate
  }

  #keep(key: string, isolate: Isolate): void {
    const list = this.#idle.get(key) ?? []
    this.#idle.set(key, list)
    const drop = (): void => {
      const position = list.findIndex((one) => one.isolate === isolate)
      if (position >= 0) list.splice(position, 1)
    }
    const timer = setTimeout(() => {
      drop()
      void isolate.close(CLOSE_MS)
    }, IDLE_MS)
    timer.unref()
    isolate.setRef('unref')
    isolate.onMessage(() => {})
    isolate.onExit(() => {
      clearTimeout(timer)
      drop()
    })
    list.push({ isolate, timer })
  }
}

interface Run {
  readonly module: string
  readonly args: readonly unknown[]
  readonly execution: Execution
  readonly graceMs: number
}

type Ended = Extract<FromIsolate, { type: 'done' | 'failed' | 'signal' }>

/** Marks an error that the task threw, in a process that is still good. */
class IsolatedFailure extends Error {
  readonly original: Error

  constructor(original: Error) {
    super(original.message)
    this.original = original
  }
}

function runIn(isolate: Isolate, { module, args, execution, graceMs }: Run): Promise<Ended> {
  return new Promise((resolve, reject) => {
    let grace: NodeJS.Timeout | undefined
    isolate.onExit((how) => {
      clearTimeout(grace)
      reject(execution.abortedBy ?? died(execution, how))
    })
    isolate.onMessage((message) => {
      if (message.type === 'log') {
        execution.log[message.level](message.fields, message.message)
      } else if (message.type === 'call') {
        void answer(isolate, message.call, message.request, execution)
      } else {
        clearTimeout(grace)
        resolve(message)
      }
    })
    execution.onAbort({
      aborted: (reason) => {
        isolate.post({ type: 'abort', reason: toFailure(reason) })
        grace = setTimeout(() => void isolate.kill(), graceMs)
      },
    })
    try {
      isolate.post({ type: 'run', module, args, message: execution.message, attempt: execution.attempt })
    } catch (error) {
      reject(error)
    }
  })
}

function unwrap(ended: Ended): unknown {
  switch (ended.type) {
    case 'done':
      return ended.value
    case 'signal':
      throw new TaskSignal(ended.steering)
    case 'failed':
      throw new IsolatedFailure(fromFailure(ended.error))
  }
}

async function answer(isolate: Isolate, call: number, request: IsolateRequest, execution: Execution): Promise<void> {
  try {
    isolate.post({ type: 'reply', call, value: await perform(request, execution) })
  } catch (error) {
    isolate.post({ type: 'reply', call, error: toFailure(error) })
  }
}

async function perform(request: IsolateRequest, execution: Execution): Promise<unknown> {
  switch (request.kind) {
    case 'ack':
      await execution.ack()
      return undefined
    case 'set-progress':
      await execution.progress.set(request.progress.state, request.progress.meta)
      return undefined
    case 'get-progress':
      return await execution.progress.get()
  }
}

/** An error again, for hooks that look at `name` and `code`; its class is not restored. */
export function fromFailure(failure: Failure): Error {
  const error = new Error(failure.message, failure.cause ? { cause: fromFailure(failure.cause) } : undefined)
  error.name = failure.name
  if (failure.stack !== undefined) error.stack = failure.stack
  return failure.code === undefined ? error : Object.assign(error, { code: failure.code })
}

function died({ taskName, taskId }: Execution, how: string): KiqError {
  return new KiqError(
    'KIQ_ISOLATE_DIED',
    `The isolated process or thread of task "${taskName}" (${taskId}) ended with ${how} before the task did. ` +
      'Look for a crash, process.exit() or the out-of-memory killer.',
  )
}
