import { fork } from 'node:child_process'

import { describe, expect, it } from 'vitest'

import { ServedModel } from '../../../dist/serve/served-model.js'
import { silentLogger } from '../../../src/contract/index.ts'
import { until } from '../../../src/testing/until.ts'
import { diesWithTests } from '../../support/dies-with-tests.ts'
import type { Input, Output } from './hosts.ts'
import {
  begin,
  cleanUpAfterEach,
  isAlive,
  modulePath,
  NEVER,
  newFile,
  placeOf,
  shortly,
  SOON,
  startHost,
  touch,
} from './hosts.ts'

cleanUpAfterEach()

describe.each(['process', 'thread'] as const)('a worker of kind %s', (kind) => {
  it('whose error is poison is replaced, and the input is run by another', async () => {
    const { host, restarts } = await startHost({ kind, spare: 1 })
    const before = placeOf(await host.run([{}], { signal: NEVER }))

    const outcomes = await host.run([{ do: 'poison-first', file: newFile(), value: 1 }], { signal: NEVER })

    expect(shortly(outcomes)).toEqual([1])
    expect(placeOf(outcomes)).not.toBe(before)
    await until(() => restarts.length === 1, SOON)
    expect(restarts).toEqual(['poisoned'])
  })

  it('that is poisoned by one input of a batch fails no other', async () => {
    const { host } = await startHost({ kind, retries: 0, spare: 2 })

    const outcomes = await host.run([{ value: 0 }, { value: 1 }, { do: 'poison' }, { value: 3 }], { signal: NEVER })

    expect(shortly(outcomes)).toEqual([0, 1, 'CUDA error: an illegal memory access was encountered', 3])
  })

  it('that hangs is killed, and its other batches are run by another', async () => {
    const { host, restarts } = await startHost({ kind, concurrency: 2, retries: 0 })
    const first = placeOf(await host.run([{}], { signal: NEVER }))
    const file = newFile()
    const hanging = begin(host, [{ do: 'hang' }])
    const other = begin(host, [{ do: 'hold', file, value: 2 }, { value: 3 }])
    await Promise.all([hanging.pid, other.pid])
    expect(host.workers).toBe(1)

    hanging.abort(new Error('late'))
    expect(shortly(await hanging.outcomes)).toEqual(['late'])
    await until(() => restarts.length > 0, SOON)
    touch(file)

    const outcomes = await other.outcomes
    expect(shortly(outcomes)).toEqual([2, 3])
    expect(placeOf(outcomes)).not.toBe(first)
    expect(restarts).toEqual(['hung'])
  })

  it('that hangs does not hold up the others', async () => {
    const { host } = await startHost({ kind, minWorkers: 2 })
    const hanging = begin(host, [{ do: 'spin' }])
    await hanging.pid

    expect(shortly(await host.run([{ value: 1 }], { signal: NEVER }))).toEqual([1])

    hanging.abort(new Error('late'))
    expect(shortly(await hanging.outcomes)).toEqual(['late'])
  })

  it('is started when all are busy, up to the limit, and ends when it was idle', async () => {
    const { host } = await startHost({ kind, minWorkers: 1, maxWorkers: 2, idleTimeoutMs: 50 })
    const file = newFile()
    const batches = [1, 2, 3].map((value) => begin(host, [{ do: 'hold', file, value }]))
    await Promise.all([batches[0]?.pid, batches[1]?.pid])
    expect(host.workers).toBe(2)

    touch(file)

    expect(await Promise.all(batches.map(async ({ outcomes }) => shortly(await outcomes)))).toEqual([[1], [2], [3]])
    await until(() => host.workers === 1, SOON)
  })
})

describe('a served model with worker processes', () => {
  it('answers a request whose time is over, and the next one from the spare', async () => {
    const { host } = await startHost({ kind: 'process', spare: 1 })
    const model = new ServedModel<Input, Output>({
      modelName: 'm',
      createHost: () => host,
      batching: { maxBatchSize: 8, timeoutMs: 300 },
      log: silentLogger,
    })
    await model.start()
    await until(async () => host.workers === 2 && (await model.isHealthy()), SOON)

    await expect(model.infer({ do: 'spin' })).rejects.toMatchObject({ code: 'KIQ_SERVE_TIMED_OUT' })

    expect(await model.infer({ value: 1 })).toMatchObject({ status: 'success', value: 1 })
    await model.stop()
  })
})

describe('worker processes', () => {
  it('that do not answer while they have nothing to do are replaced', { timeout: 60_000 }, async () => {
    const { host, restarts } = await startHost({ kind: 'process' })
    const pid = placeOf(await host.run([{}], { signal: NEVER })) as number

    process.kill(pid, 'SIGSTOP')

    await until(async () => !(await host.health()), SOON)
    await until(async () => await host.health(), { timeoutMs: 40_000, everyMs: 200 })
    expect(isAlive(pid)).toBe(false)
    expect(restarts).toEqual(['hung'])
  })

  it('end when their host was killed, also while they compute', async () => {
    const parent = fork(modulePath('../orphans.mjs'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    diesWithTests(parent)
    const pids = await new Promise<readonly number[]>((resolve) =>
      parent.once('message', (message) => resolve(message as number[])),
    )
    expect(pids).toHaveLength(2)
    expect(pids.every(isAlive)).toBe(true)

    parent.kill('SIGKILL')

    await until(() => !pids.some(isAlive), SOON)
  })

  it('ignore the signals that a terminal sends to their whole group', async () => {
    const { host, restarts } = await startHost({ kind: 'process' })
    const pid = placeOf(await host.run([{}], { signal: NEVER })) as number

    process.kill(pid, 'SIGINT')
    process.kill(pid, 'SIGTERM')

    expect(placeOf(await host.run([{}], { signal: NEVER }))).toBe(pid)
    expect(restarts).toEqual([])
  })

  it('give every input exactly one outcome while they are killed at random', { timeout: 120_000 }, async () => {
    // A kill may come late and meet another batch, so that one input may be hit more than once.
    const { host } = await startHost({ kind: 'process', minWorkers: 2, maxWorkers: 2, spare: 1, retries: 5 })
    const random = randomFrom(42)
    let kills = 0
    const batches = Array.from({ length: 200 }, (_, batch) =>
      Array.from({ length: 1 + Math.floor(random() * 8) }, (__, index) => ({ value: `${batch}.${index}` })),
    )
    const expected = batches.flat().map(({ value }) => value)
    const results: unknown[][] = []
    const queue = [...batches.entries()]
    const runner = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const [batch, inputs] = next
        let isDoomed = random() < 0.15
        results[batch] = [
          ...shortly(
            await host.run(inputs, {
              signal: NEVER,
              followed: new Set([inputs.length - 1]),
              onProgress: (_, pid) => {
                if (!isDoomed) return
                isDoomed = false
                kills += 1
                process.kill(pid as number, 'SIGKILL')
              },
            }),
          ),
        ]
      }
    }

    await Promise.all([runner(), runner(), runner()])

    expect(kills).toBeGreaterThan(10)
    expect(results.flat()).toEqual(expected)
  })
})

/** Numbers from 0 to 1, the same for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
