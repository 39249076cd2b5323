import { expect } from 'vitest'

import type {
  FailureControl,
  Failure,
  MaybePromise,
  Middleware,
  RetryOptions,
  TaskFailure,
  TaskMessage,
  TaskResult,
  TaskSuccess,
} from '../../contract/index.ts'
import { deepFreeze } from './freeze.ts'
import type { Contract, Subject } from './suite.ts'
import { describeContract } from './suite.ts'

/** How to exercise one middleware; see {@link describeMiddleware}. */
export interface MiddlewareSubject extends Subject {
  /** Makes a fresh middleware that was not started. */
  readonly create: () => MaybePromise<Middleware>
  /**
   * A message that the middleware reacts to, for example one with the labels it reads.
   *
   * @defaultValue none: only messages that it need not know
   */
  readonly message?: TaskMessage | undefined
}

/** Registers, for each hook that the middleware has, what every middleware owes the others. */
export function describeMiddleware(subject: MiddlewareSubject): void {
  describeContract<Middleware>(subject, {
    open: async () => {
      const middleware = await subject.create()
      await middleware.startup?.()
      return middleware
    },
    close: (middleware) => middleware.shutdown?.(),
    register: async (contract) => {
      const probe = await subject.create()
      const messages = subject.message ? [...MESSAGES, deepFreeze(structuredClone(subject.message))] : MESSAGES
      registerLifecycle(contract, subject)
      for (const hook of ['preSend', 'preExecute'] as const) {
        if (probe[hook]) registerChanging(contract, hook, messages)
      }
      registerNotified(contract, probe, messages)
      if (probe.onError) registerOnError(contract, messages)
    },
  })
}

const MESSAGES: readonly TaskMessage[] = deepFreeze([
  { taskId: 'bare', taskName: 'app:bare', labels: {}, args: [], kwargs: {} },
  {
    taskId: 'full',
    taskName: 'app:full',
    labels: { queue_name: 'low', count: 5, share: 0.5, yes: true, bytes: Uint8Array.of(1), big: 2n ** 60n, list: [1] },
    args: [1, 'two', null, { three: [4] }],
    kwargs: { name: 'ä', nested: { deep: [true] } },
  },
])

const ERROR = new RangeError('out of range')

const FAILURE: Failure = { name: 'RangeError', message: ERROR.message, args: [ERROR.message], module: 'javascript' }
const SUCCEEDED: TaskSuccess<unknown> = { isErr: false, returnValue: { answer: 42 }, executionTime: 0.01, labels: {} }
const FAILED: TaskFailure = { isErr: true, error: FAILURE, executionTime: 0.01, labels: { _retries: 1 } }
const RESULTS: readonly TaskResult[] = deepFreeze([SUCCEEDED, { ...SUCCEEDED, returnValue: null }, FAILED])

function registerLifecycle(contract: Contract<Middleware>, subject: MiddlewareSubject): void {
  contract('may be started and shut down twice', async (middleware) => {
    await middleware.startup?.()
    await middleware.shutdown?.()
    await middleware.shutdown?.()
  })

  contract('may be started again after it was shut down', async (middleware) => {
    await middleware.shutdown?.()
    await middleware.startup?.()
  })

  contract('may be shut down without having been started', async () => {
    const fresh = await subject.create()

    await fresh.shutdown?.()
  })
}

function registerChanging(
  contract: Contract<Middleware>,
  hook: 'preSend' | 'preExecute',
  messages: readonly TaskMessage[],
): void {
  contract(`gives complete messages from ${hook}, and leaves the ones it gets alone`, async (middleware) => {
    for (const message of messages) expectComplete(await middleware[hook]?.(message), message)
  })

  contract(`takes from ${hook} what it gave before`, async (middleware) => {
    for (const message of messages) {
      const once = await middleware[hook]?.(message)
      expectComplete(once, message)

      expectComplete(await middleware[hook]?.(deepFreeze(once as TaskMessage)), message)
    }
  })

  contract(`handles messages in ${hook} at the same time`, async (middleware) => {
    const many = Array.from({ length: 50 }, (_, index) => {
      return messages.map((message) => deepFreeze({ ...message, taskId: `${message.taskId}-${index}` }))
    }).flat()

    const given = await Promise.all(many.map(async (message) => await middleware[hook]?.(message)))

    for (const [index, message] of many.entries()) expectComplete(given[index], message)
  })
}

function registerNotified(contract: Contract<Middleware>, probe: Middleware, messages: readonly TaskMessage[]): void {
  if (probe.postSend) {
    contract('leaves the messages of postSend alone', async (middleware) => {
      for (const message of messages) await middleware.postSend?.(message)
    })
  }

  if (probe.sendFailed) {
    contract('takes any error in sendFailed', async (middleware) => {
      for (const message of messages) {
        for (const error of [ERROR, 'text', undefined]) await middleware.sendFailed?.(message, error)
      }
    })
  }

  for (const hook of ['postExecute', 'postSave'] as const) {
    if (probe[hook] === undefined) continue
    contract(`takes successes and failures in ${hook}, and leaves them alone`, async (middleware) => {
      for (const message of messages) {
        for (const result of RESULTS) await middleware[hook]?.(message, result)
      }
    })
  }
}

function registerOnError(contract: Contract<Middleware>, messages: readonly TaskMessage[]): void {
  contract('takes every failure in onError, and leaves it alone', async (middleware) => {
    for (const message of messages) {
      for (const error of [ERROR, 'text', undefined]) {
        await middleware.onError?.(message, deepFreeze(FAILED), error, new RecordingControl(1))
      }
    }
  })

  contract('asks in onError only for retries that can be made', async (middleware) => {
    for (const message of messages) {
      for (const attempt of [1, 2, 50, 10_000]) {
        const control = new RecordingControl(attempt)
        await middleware.onError?.(message, deepFreeze(FAILED), ERROR, control)
        for (const { delayMs = 0, labels = {} } of control.retries) {
          expect(delayMs).toBeGreaterThanOrEqual(0)
          expect(Number.isFinite(delayMs)).toBe(true)
          expect(typeof labels).toBe('object')
        }
        for (const reason of control.reasons) expect(reason).not.toBe('')
      }
    }
  })
}

/** Notes what the middleware decides. */
class RecordingControl implements FailureControl {
  readonly attempt: number
  readonly retries: RetryOptions[] = []
  readonly reasons: string[] = []
  decision: FailureControl['decision'] = 'fail'

  constructor(attempt: number) {
    this.attempt = attempt
  }

  retry(options: RetryOptions = {}): void {
    this.retries.push(options)
    this.decision = 'retry'
  }

  reject(reason: string): void {
    this.reasons.push(reason)
    this.decision = 'reject'
  }
}

/** A message with every field, and the task id of the one it came from. */
function expectComplete(given: TaskMessage | undefined, original: TaskMessage): void {
  expect(given, 'the hook must return a message').toBeDefined()
  expect(given).toMatchObject({ taskId: original.taskId, taskName: expect.any(String) })
  expect([Array.isArray(given?.args), isRecord(given?.kwargs), isRecord(given?.labels)]).toEqual([true, true, true])
}

function isRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
