import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import type { RecordingLogger } from '../../../test/support/recording-logger.ts'
import { recordingLogger } from '../../../test/support/recording-logger.ts'
import { PubSubBuffer } from './pubsub-buffer.ts'

let logger: RecordingLogger
let buffer: PubSubBuffer

beforeEach(() => {
  vi.useFakeTimers()
  logger = recordingLogger()
  buffer = new PubSubBuffer('q', { capacity: 3, logger })
})
afterEach(() => {
  buffer.close()
  vi.useRealTimers()
})

const add = (...bodies: readonly string[]): void => bodies.forEach((body) => buffer.add(body))
const drain = (): string[] => {
  const bodies: string[] = []
  for (let waiting = buffer.take(); waiting; waiting = buffer.take()) bodies.push(String(waiting.body))
  return bodies
}
const dropped = (): unknown[] => logger.lines.map(({ fields }) => fields['dropped'])

describe('PubSubBuffer', () => {
  it('gives what came in its order, as attempt 1', () => {
    add('a', 'b')

    expect([buffer.size, buffer.take()]).toEqual([2, { body: 'a', attempt: 1 }])
    expect([...drain(), buffer.size]).toEqual(['b', 0])
  })

  it('drops the oldest when it is full', () => {
    add('a', 'b', 'c', 'd', 'e')

    expect(drain()).toEqual(['c', 'd', 'e'])
  })

  it('keeps what is put back, also beyond its bound', () => {
    add('c', 'd', 'e')
    buffer.putFirst({ body: 'b', attempt: 1 })
    buffer.putFirst({ body: 'a', attempt: 2 })
    buffer.putLast({ body: 'f', attempt: 2 })

    expect([buffer.take()?.attempt, ...drain()]).toEqual([2, 'b', 'c', 'd', 'e', 'f'])
    expect(logger.lines).toEqual([])
  })

  it('puts back to the front of what is partly taken', () => {
    add('a', 'b', 'c')
    const first = buffer.take()
    if (first) buffer.putFirst(first)

    expect(drain()).toEqual(['a', 'b', 'c'])
  })

  it('says at once what it drops, and then at most once a second', () => {
    add('a', 'b', 'c', 'd')
    expect(dropped()).toEqual([1])

    add('e', 'f')
    vi.advanceTimersByTime(999)
    expect(dropped()).toEqual([1])
    vi.advanceTimersByTime(1)
    expect(dropped()).toEqual([1, 2])

    vi.advanceTimersByTime(5_000)
    expect(dropped()).toEqual([1, 2])
    add('g')
    expect(dropped()).toEqual([1, 2, 1])
    expect(logger.lines[0]).toMatchObject({ level: 'error', fields: { queue: 'q', bufferSize: 3 } })
    expect(logger.lines[0]?.message).toContain('`bufferSize`')
  })

  it('says nothing after its end', () => {
    add('a', 'b', 'c', 'd', 'e')
    buffer.close()
    vi.advanceTimersByTime(5_000)

    expect([buffer.size, dropped()]).toEqual([0, [1]])
  })

  it('stays fast and small over many messages', () => {
    const large = new PubSubBuffer('q', { capacity: 100_000, logger })
    for (let i = 0; i < 100_000; i += 1) large.add(String(i))
    for (let i = 0; i < 99_999; i += 1) large.take()

    expect([large.size, large.take()?.body, large.take()]).toEqual([1, '99999', undefined])
  })
})
