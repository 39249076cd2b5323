import { describe, expect, it } from 'vitest'

import type { Labels, TaskMessage } from '../contract/index.ts'
import { attemptOf, nextAttempt, requeueOf, retryOf } from './retry-message.ts'

const message = (labels: Labels = {}): TaskMessage => ({
  taskId: 'id',
  taskName: 'name',
  labels,
  args: [1],
  kwargs: { k: 1 },
})

describe('nextAttempt', () => {
  it('keeps id, name and arguments', () => {
    expect(nextAttempt(message(), 0, {})).toMatchObject({
      taskId: 'id',
      taskName: 'name',
      args: [1],
      kwargs: { k: 1 },
    })
  })

  it('merges labels', () => {
    expect(nextAttempt(message({ a: 1, b: 1 }), 0, { b: 2 }).labels).toEqual({ a: 1, b: 2, delay: undefined })
  })

  it('writes a delay in seconds', () => {
    expect(nextAttempt(message(), 1500, {}).labels).toEqual({ delay: 1.5 })
  })

  it('does not inherit the delay of the attempt before', () => {
    expect(nextAttempt(message({ delay: 60 }), 0, {}).labels['delay']).toBeUndefined()
  })

  it('does not change the message it was given', () => {
    const original = message({ a: 1 })

    nextAttempt(original, 1000, { a: 2 })

    expect(original).toEqual(message({ a: 1 }))
  })
})

describe('retryOf', () => {
  it.each([
    ['no label', {}, 1],
    ['a number', { _retries: 1 }, 2],
    ['text', { _retries: '2' }, 3],
    ['text that is no number', { _retries: 'x' }, 1],
    ['a negative number', { _retries: -5 }, 1],
    ['a fraction', { _retries: 1.5 }, 1],
  ])('counts on from %s', (_what, labels, retries) => {
    expect(retryOf(message(labels), 0, {}).labels['_retries']).toBe(retries)
  })

  it('leaves the count of requeues alone', () => {
    expect(retryOf(message({ 'X-Taskiq-requeue': '2' }), 0, {}).labels['X-Taskiq-requeue']).toBe('2')
  })
})

describe('requeueOf', () => {
  it.each([
    ['no label', {}, '1'],
    ['text', { 'X-Taskiq-requeue': '4' }, '5'],
    ['a number', { 'X-Taskiq-requeue': 1 }, '2'],
  ])('counts on from %s, as text', (_what, labels, count) => {
    expect(requeueOf(message(labels), 0).labels['X-Taskiq-requeue']).toBe(count)
  })

  it('leaves the count of retries alone', () => {
    expect(requeueOf(message({ _retries: 2 }), 0).labels['_retries']).toBe(2)
  })
})

describe('attemptOf', () => {
  it.each([
    [{}, 1, 1],
    [{}, 0, 1],
    [{}, 3, 3],
    [{ _retries: 2 }, 1, 3],
    [{ 'X-Taskiq-requeue': '2' }, 1, 3],
    [{ _retries: 1, 'X-Taskiq-requeue': '1' }, 2, 4],
    [{ _retries: 'x' }, 1, 1],
  ])('of labels %j at delivery %i is %i', (labels, delivery, attempt) => {
    expect(attemptOf(message(labels), delivery)).toBe(attempt)
  })
})
