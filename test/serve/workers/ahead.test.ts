import { describe, expect, it } from 'vitest'

import { until } from '../../../src/testing/until.ts'
import { cleanUpAfterEach, newFile, NEVER, shortly, SOON, startHost, touch } from './hosts.ts'
import type { Input } from './hosts.ts'

cleanUpAfterEach()

const KINDS = [{ kind: 'process' }, { kind: 'thread' }] as const

/** Batches wait only behind a worker that is known to be quick. */
async function startQuick(setting: Parameters<typeof startHost>[0]): ReturnType<typeof startHost> {
  const tested = await startHost(setting)
  const { maxWorkers = 1 } = setting
  await Promise.all(Array.from({ length: maxWorkers }, () => tested.host.run([{ value: 0 }], { signal: NEVER })))
  return tested
}

/** Runs a batch; tells when it has begun. */
function follow(host: Awaited<ReturnType<typeof startHost>>['host'], inputs: readonly Input[]) {
  const controller = new AbortController()
  let hasBegun = false
  const outcomes = host.run(inputs, {
    signal: controller.signal,
    onBegin: () => (hasBegun = true),
  })
  return { outcomes, hasBegun: () => hasBegun, abort: (reason: Error) => controller.abort(reason) }
}

describe.each(KINDS)('a batch that waits in its worker ($kind)', ({ kind }) => {
  it('begins when the one before it has ended, and not before', async () => {
    const { host } = await startQuick({ kind, maxWorkers: 1, ahead: 1 })
    const file = newFile()
    const first = follow(host, [{ do: 'hold', file, value: 1 }])
    const second = follow(host, [{ value: 2 }])
    await until(() => first.hasBegun(), SOON)
    expect(second.hasBegun()).toBe(false)

    touch(file)

    expect(shortly(await first.outcomes)).toEqual([1])
    expect(shortly(await second.outcomes)).toEqual([2])
    expect(second.hasBegun()).toBe(true)
  })

  it('ends at once when its signal aborts, and the one before it goes on', async () => {
    const { host, restarts } = await startQuick({ kind, maxWorkers: 1, ahead: 1 })
    const file = newFile()
    const first = follow(host, [{ do: 'hold', file, value: 1 }])
    const second = follow(host, [{ do: 'spin' }])
    await until(() => first.hasBegun(), SOON)

    second.abort(new Error('gone'))

    expect(shortly(await second.outcomes)).toEqual(['gone'])
    touch(file)
    expect(shortly(await first.outcomes)).toEqual([1])
    // What was given up is not run any more: it would never end.
    expect(shortly(await host.run([{ value: 3 }], { signal: NEVER }))).toEqual([3])
    expect(restarts).toEqual([])
  })

  it('runs elsewhere when the one before it hangs, and its worker is ended', async () => {
    const { host, restarts } = await startQuick({ kind, maxWorkers: 1, ahead: 1 })
    const first = follow(host, [{ do: 'spin' }])
    const second = follow(host, [{ value: 2 }, { value: 3 }])
    await until(() => first.hasBegun(), SOON)

    first.abort(new Error('too late'))

    expect(shortly(await first.outcomes)).toEqual(['too late'])
    expect(shortly(await second.outcomes)).toEqual([2, 3])
    expect(restarts).toEqual(['hung'])
  })

  it('runs in another worker as soon as that has nothing to do', async () => {
    const { host } = await startQuick({ kind, minWorkers: 2, maxWorkers: 2, ahead: 1 })
    const [file, other] = [newFile(), newFile()]
    const first = follow(host, [{ do: 'hold', file, value: 1 }])
    const second = follow(host, [{ do: 'hold', file: other, value: 2 }])
    await until(() => first.hasBegun() && second.hasBegun(), SOON)
    // One behind each.
    const waiting = [3, 4].map((value) => follow(host, [{ value }]))

    touch(other)

    expect(shortly(await second.outcomes)).toEqual([2])
    expect(await Promise.all(waiting.map(async ({ outcomes }) => shortly(await outcomes)))).toEqual([[3], [4]])
    touch(file)
    expect(shortly(await first.outcomes)).toEqual([1])
  })

  it('goes to another worker before those that came later, when the one before it takes long', async () => {
    const { host } = await startQuick({ kind, minWorkers: 2, maxWorkers: 2, ahead: 1 })
    const [file, other] = [newFile(), newFile()]
    const slow = follow(host, [{ do: 'hold', file, value: 1 }])
    const quick = follow(host, [{ do: 'hold', file: other, value: 2 }])
    const waiting = [3, 4, 5, 6].map((value) => follow(host, [{ value }]))

    touch(other)

    expect(shortly(await quick.outcomes)).toEqual([2])
    expect(await Promise.all(waiting.map(async ({ outcomes }) => shortly(await outcomes)))).toEqual([
      [3],
      [4],
      [5],
      [6],
    ])
    expect(slow.hasBegun()).toBe(true)
    touch(file)
    expect(shortly(await slow.outcomes)).toEqual([1])
  })

  it('does not wait while another worker can be had', async () => {
    const { host } = await startHost({ kind, minWorkers: 1, maxWorkers: 2, ahead: 1 })
    const file = newFile()
    const batches = [1, 2].map((value) => follow(host, [{ do: 'hold', file, value }]))

    await until(() => batches.every(({ hasBegun }) => hasBegun()), SOON)

    touch(file)
    expect(await Promise.all(batches.map(async ({ outcomes }) => shortly(await outcomes)))).toEqual([[1], [2]])
  })
})

describe('a batch behind one that kills its process', () => {
  it('is not to blame, and runs as it is', async () => {
    const { host } = await startQuick({ kind: 'process', maxWorkers: 1, ahead: 1, retries: 0 })
    const first = follow(host, [{ do: 'exit' }])
    const second = follow(host, [{ value: 2 }, { value: 3 }])

    expect(shortly(await first.outcomes)).toEqual(['KIQ_SERVE_WORKER_DIED'])
    expect(shortly(await second.outcomes)).toEqual([2, 3])
  })
})
