import { describe, expect, it, vi } from 'vitest'

import { silentLogger } from '../../contract/index.ts'
import type { RunRecord } from './job-records.ts'
import { RunWriter } from './run-writer.ts'

const RUNNING: RunRecord = {
  state: 'running',
  started_at: '2030-01-01T00:00:00.000Z',
  finished_at: null,
  attempt: 1,
  progress: null,
  failure: null,
}

function makeWriter(failures = 0): { readonly writer: RunWriter; readonly written: RunRecord[] } {
  const written: RunRecord[] = []
  let left = failures
  const records = {
    setRun: async (_id: string, record: RunRecord): Promise<void> => {
      left -= 1
      if (left >= 0) throw new Error('not now')
      written.push(record)
    },
  }
  return { writer: new RunWriter('j', RUNNING, { records, log: silentLogger }), written }
}

describe('the record of a run', () => {
  it('is written five times a second at most, and its last state always', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    try {
      const { writer, written } = makeWriter()
      await writer.put()
      for (let i = 1; i <= 1_000; i += 1) {
        writer.progress(i)
        await vi.advanceTimersByTimeAsync(1)
      }
      writer.progress('last')
      await writer.end({ state: 'ended' })
      await writer.close()

      expect(written.length).toBeGreaterThanOrEqual(5)
      expect(written.length).toBeLessThanOrEqual(7)
      expect(written.at(-1)).toMatchObject({ state: 'ended', progress: 'last' })
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  it('is not changed any more after its end', async () => {
    const { writer, written } = makeWriter()
    await writer.end({ state: 'ended', progress: 1 })
    writer.progress(2)
    await writer.close()

    expect(written.map(({ progress }) => progress)).toEqual([1])
  })

  it('is written again when that fails, and given up in the end', async () => {
    const twice = makeWriter(2)
    await twice.writer.put()
    expect(twice.written).toHaveLength(1)

    const always = makeWriter(100)
    await always.writer.put()
    expect(always.written).toEqual([])
  })
})
