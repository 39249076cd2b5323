import { existsSync } from 'node:fs'

import { describe, expect, it } from 'vitest'

import { until } from '../../../src/testing/until.ts'
import {
  begin,
  cleanUpAfterEach,
  createHost,
  isAlive,
  NEVER,
  newFile,
  placeOf,
  shortly,
  SOON,
  startHost,
  touch,
} from './hosts.ts'

cleanUpAfterEach()

describe.each(['process', 'thread'] as const)('a host with workers of kind %s', (kind) => {
  it('runs batches elsewhere, in the order of their inputs', async () => {
    const { host } = await startHost({ kind })

    const outcomes = await host.run([{ value: 1 }, { value: 'two' }, { value: [3] }], { signal: NEVER })

    expect(shortly(outcomes)).toEqual([1, 'two', [3]])
    const place = placeOf(outcomes)
    if (kind === 'process') expect(place).not.toBe(process.pid)
    else expect(place).toMatch(/^thread [1-9]/)
    expect(host.workers).toBe(1)
  })

  it('gives batches to the worker that was used last', async () => {
    const { host } = await startHost({ kind, minWorkers: 2 })
    const first = placeOf(await host.run([{}], { signal: NEVER }))

    const places = [await host.run([{}], { signal: NEVER }), await host.run([{}], { signal: NEVER })].map(placeOf)

    expect(places).toEqual([first, first])
  })

  it('ends a batch that computes for ever when its signal aborts, and serves the next one', async () => {
    const { host, restarts } = await startHost({ kind, spare: 1 })
    await until(() => host.workers === 2, SOON)
    const running = begin(host, [{ do: 'spin' }, {}])
    await running.pid

    running.abort(new Error('too late'))
    const outcomes = await running.outcomes

    expect(shortly(outcomes)).toEqual(['too late', 'too late'])
    expect(shortly(await host.run([{ value: 1 }], { signal: NEVER }))).toEqual([1])
    await until(() => restarts.length === 1, SOON)
    expect(restarts).toEqual(['hung'])
  })

  it('keeps the worker of a batch that heeds its signal', async () => {
    const { host, restarts } = await startHost({ kind })
    const place = placeOf(await host.run([{}], { signal: NEVER }))
    const running = begin(host, [{ do: 'wait' }])
    await running.pid

    running.abort(new Error('not needed'))

    expect(shortly(await running.outcomes)).toEqual(['not needed'])
    expect(placeOf(await host.run([{}], { signal: NEVER }))).toBe(place)
    expect(restarts).toEqual([])
  })

  it('gives up a batch that waits for a worker', async () => {
    const { host } = await startHost({ kind })
    const file = newFile()
    const first = begin(host, [{ do: 'hold', file, value: 1 }])
    await first.pid
    const second = begin(host, [{ value: 2 }])

    second.abort(new Error('gone'))

    expect(shortly(await second.outcomes)).toEqual(['gone'])
    touch(file)
    expect(shortly(await first.outcomes)).toEqual([1])
  })

  it('fails only the input that ends its worker', async () => {
    const { host } = await startHost({ kind, retries: 0 })
    const inputs = [0, 1, 2, 3, 4, 5, 6, 7].map((value) => ({ value, do: value === 5 ? 'exit' : 'echo' }))

    const outcomes = await host.run(inputs, { signal: NEVER })

    expect(shortly(outcomes)).toEqual([0, 1, 2, 3, 4, 'KIQ_SERVE_WORKER_DIED', 6, 7])
    expect(outcomes[5]).toMatchObject({ error: { message: expect.stringContaining('exit code 7') as string } })
  })

  it('runs a single input again when its worker has died', async () => {
    const { host } = await startHost({ kind })

    const outcomes = await host.run([{ do: 'exit-first', file: newFile(), value: 'ok' }], { signal: NEVER })

    expect(shortly(outcomes)).toEqual(['ok'])
  })

  it('lets teardown run, and stops twice harmlessly', async () => {
    const torn = newFile()
    const { host } = await startHost({ kind, settings: { torn } })
    const file = newFile()
    const running = begin(host, [{ do: 'hold', file, value: 1 }])
    await running.pid

    const stopped = host.stop()
    expect(shortly(await host.run([{}], { signal: NEVER }))).toEqual(['KIQ_SERVE_STOPPING'])
    touch(file)
    await Promise.all([stopped, host.stop()])

    expect(shortly(await running.outcomes)).toEqual([1])
    expect(existsSync(torn)).toBe(true)
    expect(host.workers).toBe(0)
    expect(await host.health()).toBe(false)
  })
})

describe('a worker process', () => {
  it('is replaced when it is killed, and its batch is run by another', async () => {
    const { host, restarts } = await startHost({ kind: 'process', spare: 1 })
    const file = newFile()
    const running = begin(host, [{ do: 'hold', file, value: 1 }, { value: 2 }])

    process.kill(await running.pid, 'SIGKILL')
    touch(file)

    expect(shortly(await running.outcomes)).toEqual([1, 2])
    expect(restarts).toEqual(['died'])
  })

  it('that kills itself fails only the input that made it do so', async () => {
    const { host } = await startHost({ kind: 'process' })
    const inputs = [0, 1, 2, 3, 4, 5, 6, 7].map((value) => ({ value, do: value === 0 ? 'sigkill' : 'echo' }))

    const outcomes = await host.run(inputs, { signal: NEVER })

    expect(shortly(outcomes)).toEqual(['KIQ_SERVE_WORKER_DIED', 1, 2, 3, 4, 5, 6, 7])
    expect(outcomes[0]).toMatchObject({ error: { message: expect.stringContaining('signal SIGKILL') as string } })
  })

  it('is gone when its host is stopped, also when teardown hangs', async () => {
    const { host } = createHost({ kind: 'process', settings: { teardown: 'hang' } })
    await host.start()
    const pid = placeOf(await host.run([{}], { signal: NEVER })) as number

    await host.stop()

    expect(isAlive(pid)).toBe(false)
  })
})
