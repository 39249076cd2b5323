import { describe, expect, it } from 'vitest'

import { ConfigError } from '../contract/index.ts'
import type { Labels, TaskMessage } from '../contract/index.ts'
import type { RetryPolicyOptions } from './retry-policy.ts'
import { shouldRetry } from './retry-policy.ts'

class PaymentError extends Error {
  override readonly name = 'PaymentError'
}
class CardError extends PaymentError {}

const message = (labels: Labels): TaskMessage => ({ taskId: 'id', taskName: 'name', labels, args: [], kwargs: {} })
const on = { retry_on_error: true }

const decide = (
  labels: Labels,
  execution: number,
  options: RetryPolicyOptions = {},
  error: unknown = new Error('x'),
): boolean => shouldRetry(message(labels), error, execution, options)

describe('shouldRetry', () => {
  it.each([
    ['no label', {}, false],
    ['true', { retry_on_error: true }, true],
    ['false', { retry_on_error: false }, false],
    ['the text True', { retry_on_error: 'True' }, true],
    ['the text true', { retry_on_error: 'true' }, true],
    ['the text False', { retry_on_error: 'False' }, false],
    ['the text 1', { retry_on_error: '1' }, false],
    ['1', { retry_on_error: 1 }, true],
    ['0', { retry_on_error: 0 }, false],
  ])('of a task with %s is %s', (_what, labels, retried) => {
    expect(decide(labels, 1)).toBe(retried)
  })

  it('retries tasks without a label when told to', () => {
    expect(decide({}, 1, { defaultRetryLabel: true })).toBe(true)
    expect(decide({ retry_on_error: false }, 1, { defaultRetryLabel: true })).toBe(false)
  })

  it('counts executions, the first included: 3 by default', () => {
    expect([1, 2, 3, 4].map((execution) => decide(on, execution))).toEqual([true, true, false, false])
  })

  it('lets defaultRetryCount say how many', () => {
    expect([1, 4, 5].map((execution) => decide(on, execution, { defaultRetryCount: 5 }))).toEqual([true, true, false])
  })

  it('never retries when there is to be one execution', () => {
    expect(decide(on, 1, { defaultRetryCount: 1 })).toBe(false)
  })

  it.each([
    ['a number', 2],
    ['text', '2'],
    ['a bigint', 2n],
  ])('lets label max_retries win, as %s', (_what, label) => {
    const labels = { ...on, max_retries: label }

    expect([1, 2].map((execution) => decide(labels, execution, { defaultRetryCount: 9 }))).toEqual([true, false])
  })

  it.each([['x'], [NaN], ['nan']])('ignores max_retries %j', (label) => {
    expect([2, 3].map((execution) => decide({ ...on, max_retries: label }, execution))).toEqual([true, false])
  })

  it('takes errors by name', () => {
    const options = { retryOn: ['PaymentError', 'TimeoutError'] }

    expect(decide(on, 1, options, new PaymentError('x'))).toBe(true)
    expect(decide(on, 1, options, Object.assign(new Error('x'), { name: 'TimeoutError' }))).toBe(true)
    expect(decide(on, 1, options, new RangeError('x'))).toBe(false)
    expect(decide(on, 1, options, 'PaymentError')).toBe(false)
  })

  it('takes errors by class, subclasses included', () => {
    const options = { retryOn: [PaymentError, RangeError] }

    expect(decide(on, 1, options, new CardError('x'))).toBe(true)
    expect(decide(on, 1, options, new RangeError('x'))).toBe(true)
    expect(decide(on, 1, options, new Error('x'))).toBe(false)
  })

  it('asks a function', () => {
    const options = { retryOn: (error: unknown) => error === 'again' }

    expect(decide(on, 1, options, 'again')).toBe(true)
    expect(decide(on, 1, options, 'enough')).toBe(false)
  })

  it('retries nothing when the list is empty', () => {
    expect(decide(on, 1, { retryOn: [] })).toBe(false)
  })

  it.each([
    'KIQ_TASK_CANCELLED',
    'KIQ_ARGUMENTS_INVALID',
    'KIQ_LABEL_INVALID',
    'KIQ_LEASE_LOST',
    'KIQ_CONFIG_INVALID',
  ] as const)('does not retry %s, which another attempt cannot mend', (code) => {
    expect(decide(on, 1, { retryOn: () => true }, new ConfigError(code, 'x'))).toBe(false)
  })

  it('retries a timeout', () => {
    expect(decide(on, 1, {}, new ConfigError('KIQ_TASK_TIMED_OUT', 'x'))).toBe(true)
  })
})
