import { describe, expect, it } from 'vitest'

import type { FailureControl, Labels, RetryOptions, TaskMessage, TaskResult } from '../contract/index.ts'
import type { SmartRetryOptions } from './smart-retry.ts'
import { retryDelayMs, SmartRetryMiddleware } from './smart-retry.ts'

const failed: TaskResult = {
  isErr: true,
  error: { name: 'Error', message: 'x', args: ['x'] },
  executionTime: 0,
  labels: {},
}

/** Delays asked for while a task fails again and again, each time with the labels a retry has. */
function delays(count: number, options: SmartRetryOptions, labels: Labels = {}): (number | undefined)[] {
  const middleware = new SmartRetryMiddleware({ defaultRetryCount: 100, ...options })
  let current: Labels = { retry_on_error: true, ...labels }
  return Array.from({ length: count }, (_, retries) => {
    let asked: RetryOptions | undefined
    const control: FailureControl = {
      attempt: retries + 1,
      decision: 'fail',
      retry: (retryOptions) => (asked = retryOptions),
      reject: () => expect.unreachable(),
    }
    const message: TaskMessage = { taskId: 'id', taskName: 'name', labels: current, args: [], kwargs: {} }
    middleware.onError(message, failed, new Error('x'), control)
    // What the core writes into the next message.
    current = { ...current, _retries: retries + 1, delay: (asked?.delayMs ?? 0) / 1000 }
    return asked?.delayMs
  })
}

describe('retryDelayMs', () => {
  const rule = { delayMs: 5_000, maxDelayMs: 60_000, jitterMs: 0 }

  it.each([
    [1, 5_000],
    [2, 10_000],
    [3, 20_000],
    [4, 40_000],
    [5, 60_000],
    [6, 60_000],
    [1_000, 60_000],
  ])('of retry %i grows to %i ms', (retry, ms) => {
    expect(retryDelayMs(retry, { ...rule, growth: 'exponential' }, () => 0.5)).toBe(ms)
  })

  it.each([1, 2, 50])('of retry %i is constant', (retry) => {
    expect(retryDelayMs(retry, { ...rule, growth: 'constant' }, () => 0.5)).toBe(5_000)
  })

  it('does not cap a constant delay', () => {
    expect(retryDelayMs(1, { ...rule, delayMs: 600_000, growth: 'constant' }, () => 0)).toBe(600_000)
  })

  it.each([
    [0, 60_000],
    [0.5, 60_500],
    [0.999, 60_999],
  ])('adds jitter beyond the cap: %d of it', (drawn, ms) => {
    expect(retryDelayMs(9, { ...rule, jitterMs: 1_000, growth: 'exponential' }, () => drawn)).toBe(ms)
  })
})

describe('SmartRetryMiddleware', () => {
  it('waits 5 seconds by default', () => {
    expect(delays(4, {})).toEqual([5_000, 5_000, 5_000, 5_000])
  })

  it('waits as long as it is told', () => {
    expect(delays(2, { defaultDelay: '1m30s' })).toEqual([90_000, 90_000])
  })

  it('doubles up to 60 seconds, and does not compound', () => {
    expect(delays(6, { useDelayExponent: true })).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000])
  })

  it('doubles up to another cap', () => {
    const options = { useDelayExponent: true, defaultDelay: '2s', maxDelayExponent: '5s' }

    expect(delays(4, options)).toEqual([2_000, 4_000, 5_000, 5_000])
  })

  it.each([
    ['a number', 2],
    ['text', '2'],
  ])('lets label retry_delay win, in seconds, as %s', (_what, label) => {
    expect(delays(3, { useDelayExponent: true }, { retry_delay: label })).toEqual([2_000, 4_000, 8_000])
  })

  it('retries at once when label retry_delay is 0', () => {
    expect(delays(2, { useDelayExponent: true }, { retry_delay: 0 })).toEqual([0, 0])
  })

  it.each([['x'], [-1], [NaN], [Infinity]])('ignores retry_delay %j', (label) => {
    expect(delays(1, {}, { retry_delay: label })).toEqual([5_000])
  })

  it('adds up to one second of jitter', () => {
    expect(delays(2, { useJitter: true, random: () => 0.25 })).toEqual([5_250, 5_250])
  })

  it('adds as much jitter as it is told', () => {
    expect(delays(1, { useJitter: '10s', random: () => 0.5 })).toEqual([10_000])
  })

  it('draws jitter at random', () => {
    const drawn = delays(50, { useJitter: true })

    expect(new Set(drawn).size).toBeGreaterThan(40)
    expect(drawn.every((ms) => ms !== undefined && ms >= 5_000 && ms <= 6_000)).toBe(true)
  })

  it('adds no jitter unless told', () => {
    expect(delays(1, { random: () => 0.9 })).toEqual([5_000])
  })

  it('ends after the last execution', () => {
    expect(delays(4, { defaultRetryCount: 3 })).toEqual([5_000, 5_000, undefined, undefined])
  })

  it('asks for nothing for a task that is not to be retried', () => {
    expect(delays(1, {}, { retry_on_error: false })).toEqual([undefined])
  })

  it('starts from the base when the count of retries is no number', () => {
    expect(delays(1, { useDelayExponent: true }, { _retries: 'x' })).toEqual([5_000])
  })

  it.each([
    ['defaultDelay', { defaultDelay: 'soon' }],
    ['defaultDelay', { defaultDelay: -1 }],
    ['maxDelayExponent', { maxDelayExponent: '60' }],
    ['useJitter', { useJitter: 'some' }],
  ])('refuses a %s that is no duration', (name, options) => {
    expect(() => new SmartRetryMiddleware(options)).toThrow(
      expect.objectContaining({
        code: 'KIQ_CONFIG_INVALID',
        message: expect.stringContaining(`\`${name}\``) as string,
      }),
    )
  })
})
