import { describe, expect, it } from 'vitest'

import type { FailureControl, Labels, RetryOptions, TaskMessage, TaskResult } from '../contract/index.ts'
import type { RetryPolicyOptions } from './retry-policy.ts'
import { SimpleRetryMiddleware } from './simple-retry.ts'

const failed: TaskResult = {
  isErr: true,
  error: { name: 'Error', message: 'x', args: ['x'] },
  executionTime: 0,
  labels: {},
}

/** What the middleware asked for after execution number `attempt`. */
function ask(labels: Labels, attempt: number, options?: RetryPolicyOptions): (RetryOptions | undefined)[] {
  const message: TaskMessage = { taskId: 'id', taskName: 'name', labels, args: [], kwargs: {} }
  const asked: (RetryOptions | undefined)[] = []
  const control: FailureControl = {
    attempt,
    decision: 'fail',
    retry: (retryOptions) => asked.push(retryOptions),
    reject: () => expect.unreachable(),
  }
  new SimpleRetryMiddleware(options).onError(message, failed, new Error('x'), control)
  return asked
}

describe('SimpleRetryMiddleware', () => {
  it('asks for the next attempt at once, and hides the failure', () => {
    expect(ask({ retry_on_error: true }, 1)).toEqual([{ visible: 'nothing' }])
  })

  it('shows the failure between attempts when told to', () => {
    expect(ask({ retry_on_error: true }, 1, { noResultOnRetry: false })).toEqual([{ visible: 'failure' }])
  })

  it('asks for nothing after the last execution', () => {
    expect(ask({ retry_on_error: true }, 3)).toEqual([])
  })

  it('asks for nothing for a task that is not to be retried', () => {
    expect(ask({}, 1)).toEqual([])
  })

  it('counts executions by the attempt, whatever the label _retries says', () => {
    expect(ask({ retry_on_error: true, _retries: 0 }, 3)).toEqual([])
  })
})
