import { describe, expect, it, vi } from 'vitest'

import { ConfigError, silentLogger } from '../../contract/index.ts'
import type { ResultRecord } from '../../contract/index.ts'
import { MemoryResultBackend } from './index.ts'

function record(taskId: string, ttlMs?: number): ResultRecord {
  return { taskId, body: `result of ${taskId}`, ttlMs }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

describe('MemoryResultBackend', () => {
  it.each([0, -2, 1.5, NaN, Infinity])('refuses a maxStoredResults of %s', (maxStoredResults) => {
    expect(() => new MemoryResultBackend({ maxStoredResults })).toThrow(ConfigError)
  })

  it('keeps 100 results by default and drops the oldest first', async () => {
    const backend = new MemoryResultBackend()
    for (let index = 0; index < 103; index += 1) await backend.save([record(`${index}`)])

    const bodies = await backend.get(Array.from({ length: 103 }, (_, index) => `${index}`))

    expect(bodies.map((body) => body !== undefined).indexOf(true)).toBe(3)
    expect(bodies.filter((body) => body !== undefined)).toHaveLength(100)
  })

  it('counts a replaced result as new', async () => {
    const backend = new MemoryResultBackend({ maxStoredResults: 2 })
    await backend.save([record('a'), record('b'), record('a'), record('c')])

    expect(await backend.get(['a', 'b', 'c'])).toEqual(['result of a', undefined, 'result of c'])
  })

  it('keeps to its limit however results are forgotten and replaced', async () => {
    const backend = new MemoryResultBackend({ maxStoredResults: 3 })
    for (let index = 0; index < 500; index += 1) {
      await backend.save([record(`${index % 7}`), record(`${index % 5}`)])
      if (index % 3 === 0) await backend.forget([`${index % 4}`])

      const kept = await backend.get(['0', '1', '2', '3', '4', '5', '6'])
      expect(kept.filter((body) => body !== undefined).length).toBeLessThanOrEqual(3)
    }
  })

  it('keeps everything when the limit is -1', async () => {
    const backend = new MemoryResultBackend({ maxStoredResults: -1 })
    const records = Array.from({ length: 5_000 }, (_, index) => record(`${index}`))
    await backend.save(records)

    expect((await backend.get(['0', '4999'])).every((body) => body !== undefined)).toBe(true)
  })

  it('tells subscribers of results that were dropped for others in the same call', async () => {
    const backend = new MemoryResultBackend({ maxStoredResults: 1 })
    const told: unknown[] = []
    for (const taskId of ['a', 'b', 'c']) backend.subscribe(taskId, (body) => told.push(body))

    await backend.save([record('a'), record('b'), record('c')])
    await nextTurn()

    expect(told).toEqual(['result of a', 'result of b', 'result of c'])
    expect(await backend.get(['a', 'b', 'c'])).toEqual([undefined, undefined, 'result of c'])
  })

  it('lets what follows a save run before its subscribers', async () => {
    const backend = new MemoryResultBackend()
    const order: string[] = []
    backend.subscribe('a', () => order.push('told'))

    await backend.save([record('a')])
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
    order.push('postSave')
    await nextTurn()

    expect(order).toEqual(['postSave', 'told'])
  })

  it('tells nobody after stop', async () => {
    const backend = new MemoryResultBackend()
    const told: unknown[] = []
    backend.subscribe('a', (body) => told.push(body))
    backend.subscribe('b', (body) => told.push(body))
    await backend.save([record('a')])

    await backend.stop()
    await backend.save([record('b')])
    await nextTurn()

    expect(told).toEqual([])
  })

  it('logs what a listener throws', async () => {
    const backend = new MemoryResultBackend()
    const error = vi.fn()
    await backend.start({ logger: { ...silentLogger, error } })
    backend.subscribe('a', () => {
      throw new RangeError('broken')
    })

    await backend.save([record('a')])
    await nextTurn()

    expect(error).toHaveBeenCalledWith({ err: new RangeError('broken'), taskId: 'a' }, expect.any(String))
  })

  it('expires a record at its time, not before', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_000 })
    try {
      const backend = new MemoryResultBackend()
      await backend.save([record('a', 500)])

      vi.setSystemTime(1_499)
      expect(await backend.get(['a'])).toEqual(['result of a'])
      vi.setSystemTime(1_500)
      expect(await backend.get(['a'])).toEqual([undefined])
    } finally {
      vi.useRealTimers()
    }
  })
})
