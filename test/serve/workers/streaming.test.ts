import { describe, expect, it } from 'vitest'

import { until } from '../../../src/testing/until.ts'
import type { Deferred } from '../../support/deferred.ts'
import { deferred } from '../../support/deferred.ts'
import type { Output } from './hosts.ts'
import { cleanUpAfterEach, NEVER, shortly, SOON, startHost } from './hosts.ts'

cleanUpAfterEach()

interface Streamed extends Output {
  readonly yielded?: number
}

/** Consumes outputs one after the other, in its own time: the type of a follower says nothing of promises. */
function held(consume: (output: Streamed) => Promise<void>): (index: number, output: Output) => void {
  return (_, output) => consume(output) as unknown as void
}

describe.each(['process', 'thread'] as const)('a stream of a worker of kind %s', (kind) => {
  const streaming = { kind, file: 'streaming.mjs', pipelineName: 'Streaming' }

  it('is told as it comes, of the inputs that are followed', async () => {
    const { host } = await startHost(streaming)
    const told: unknown[] = []
    const progress: unknown[] = []

    const outcomes = await host.run([{ value: 100 }, {}], {
      signal: NEVER,
      followed: new Set([1]),
      onOutput: (index, output) => told.push([index, output.value]),
      onProgress: (index, value) => progress.push([index, value]),
    })

    expect(told).toEqual(Array.from({ length: 100 }, (_, n) => [1, n]))
    expect(progress).toEqual([])
    expect(shortly(outcomes)).toEqual([99, 99])
  })

  it('tells the last progress, also when it comes faster than it is consumed', async () => {
    const { host } = await startHost(streaming)
    const progress: unknown[] = []

    await host.run([{ value: 500 }], {
      signal: NEVER,
      followed: new Set([0]),
      onProgress: (_, value) => progress.push(value),
    })

    expect(progress.at(-1)).toBe(499)
  })

  it('waits for whoever consumes it', async () => {
    const { host } = await startHost(streaming)
    const consumed: Deferred<void>[] = []
    let yielded = 0
    const outcomes = host.run([{ value: 1_000 }], {
      signal: NEVER,
      followed: new Set([0]),
      onOutput: held((output) => {
        yielded = output.yielded ?? 0
        const one = deferred()
        consumed.push(one)
        return one.promise
      }),
    })
    await until(() => consumed.length >= 10, SOON)
    // Its answer comes after all that it has sent before.
    await host.health()
    expect(yielded).toBeLessThan(100)

    while (yielded < 1_000) {
      await until(() => consumed.length > 0, SOON)
      for (const one of consumed.splice(0)) one.resolve()
    }

    expect(shortly(await outcomes)).toEqual([999])
  })

  it('ends when its signal aborts while it waits for whoever consumes it', async () => {
    const { host, restarts } = await startHost(streaming)
    const controller = new AbortController()
    let told = 0
    const outcomes = host.run([{ value: 1_000 }], {
      signal: controller.signal,
      followed: new Set([0]),
      onOutput: held(() => {
        told += 1
        return new Promise(() => {})
      }),
    })
    await until(() => told > 0, SOON)

    controller.abort(new Error('closed'))

    expect(shortly(await outcomes)).toEqual(['closed'])
    expect(restarts).toEqual([])
  })
})

describe('a stream of a worker process', () => {
  it('that has begun is not run again when the worker dies', async () => {
    const { host, restarts } = await startHost({ kind: 'process', file: 'streaming.mjs', pipelineName: 'Streaming' })
    const told: unknown[] = []

    const outcomes = await host.run([{ value: 3, do: 'sigkill' }, {}], {
      signal: NEVER,
      followed: new Set([0]),
      onOutput: (_, output) => told.push(output.value),
    })

    expect(shortly(outcomes)).toEqual(['KIQ_SERVE_WORKER_DIED', 'KIQ_SERVE_WORKER_DIED'])
    expect(told).toEqual([0, 1, 2])
    expect(restarts).toEqual(['died'])
  })
})
