import { getPriority } from 'node:os'

import { describe, expect, it } from 'vitest'

import { until } from '../../../src/testing/until.ts'
import {
  begin,
  cleanUpAfterEach,
  firstOutput,
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
  it('is healthy when its pipelines say so', async () => {
    const unhealthy = newFile()
    const { host } = await startHost({ kind, minWorkers: 2, settings: { unhealthy } })
    expect(await host.health()).toBe(true)

    touch(unhealthy)

    await until(async () => !(await host.health()), SOON)
  })

  it('is healthy while a pipeline computes, whose time is not over', async () => {
    const { host } = await startHost({ kind })
    const running = begin(host, [{ do: 'spin' }])
    await running.pid

    expect(await host.health()).toBe(true)

    running.abort(new Error('late'))
    await running.outcomes
    await until(() => host.workers === 1, SOON)
  })

  it('is not healthy while no worker is ready', async () => {
    const file = newFile()
    const { host } = await startHost({ kind, settings: { setup: 'only-first', file } })
    expect(await host.health()).toBe(true)

    await host.run([{ do: 'exit' }], { signal: NEVER })

    expect(await host.health()).toBe(false)
  })

  it('tells every worker of changed files, between its batches', async () => {
    const { host, restarts } = await startHost({ kind, minWorkers: 2, concurrency: 1 })
    const file = newFile()
    const running = begin(host, [{ do: 'hold', file, value: 1 }])
    await running.pid

    const reloaded = host.reload()
    touch(file)

    expect(await reloaded).toBe(true)
    expect(firstOutput(await running.outcomes)).toMatchObject({ value: 1 })
    const files = [newFile(), newFile()]
    const both = files.map((one) => begin(host, [{ do: 'hold', file: one }]))
    await Promise.all(both.map(async ({ pid }) => await pid))
    files.forEach(touch)
    const outputs = await Promise.all(both.map(async ({ outcomes }) => firstOutput(await outcomes)))
    expect(new Set(outputs.map(({ place }) => place)).size).toBe(2)
    expect(outputs.map(({ reloads }) => reloads)).toEqual([1, 1])
    expect(restarts).toEqual([])
  })

  it.each(['throw', 'hang'])('replaces a worker whose reload fails: %s', async (reload) => {
    const { host, restarts, log } = await startHost({ kind, startTimeoutMs: 2_000, settings: { reload } })
    const before = placeOf(await host.run([{}], { signal: NEVER }))

    expect(await host.reload()).toBe(true)

    expect(placeOf(await host.run([{}], { signal: NEVER }))).not.toBe(before)
    expect(restarts).toEqual(['poisoned'])
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1)
  })

  it('does not reload a pipeline that cannot', async () => {
    const { host } = await startHost({ kind, file: 'streaming.mjs', pipelineName: 'Streaming' })

    expect(await host.reload()).toBe(false)
  })

  it('gives errors of the pipeline with name, code, stack and cause', async () => {
    const { host } = await startHost({ kind })

    const outcomes = await host.run([{ value: 0 }, { do: 'throw' }], { signal: NEVER })

    expect(shortly(outcomes)).toEqual([0, 'E_BAD'])
    expect(outcomes[1]).toMatchObject({
      error: { name: 'RangeError', message: 'bad input', cause: { name: 'TypeError', message: 'deep' } },
    })
    const { error } = outcomes[1] as { readonly error: Error }
    expect(error).toBeInstanceOf(Error)
    expect(error.stack).toContain('faulty.mjs')
  })

  it('fails alone what cannot be sent', async () => {
    const { host } = await startHost({ kind })

    const inputs = [{ value: 0 }, { value: { f: () => {} } }, { value: 2 }]
    expect(shortly(await host.run(inputs, { signal: NEVER }))).toEqual([0, 'KIQ_ARGUMENTS_UNSERIALIZABLE', 2])
    const asked = [{ value: 0 }, { do: 'function' }, { value: 2 }]
    expect(shortly(await host.run(asked, { signal: NEVER }))).toEqual([0, 'KIQ_PIPELINE_INVALID', 2])
  })

  it('carries typed arrays, dates, maps and bytes', async () => {
    const { host } = await startHost({ kind })
    const value = { floats: new Float32Array([1, 2.5]), date: new Date(0), map: new Map([['a', 1n]]) }

    expect(firstOutput(await host.run([{ value }], { signal: NEVER })).value).toEqual(value)
    const bytes = firstOutput(await host.run([{ do: 'bytes', value: Buffer.from('xyz') }], { signal: NEVER }))
    expect(Buffer.from(bytes.value as Uint8Array).toString()).toBe('xyz')
    expect(bytes.back).toBeInstanceOf(Uint8Array)
    // As the documentation of WorkerHost says.
    expect([bytes.isBuffer, Buffer.isBuffer(bytes.back)]).toEqual(kind === 'process' ? [true, true] : [false, false])
  })

  it('logs what its pipelines log', async () => {
    const { host, log } = await startHost({ kind })

    const { place } = firstOutput(await host.run([{ do: 'log' }], { signal: NEVER }))

    const line = log.lines.find(({ message }) => message === 'from the pipeline')
    expect(line).toMatchObject({
      level: 'warn',
      fields: { model: 'm', n: 1, err: { name: 'RangeError', message: 'logged' } },
    })
    expect(line?.fields['err']).toBeInstanceOf(Error)
    expect(place).toBe(kind === 'process' ? line?.fields['worker'] : `thread ${String(line?.fields['worker'])}`)
  })

  it('gives the environment to its workers, by their place', async () => {
    const { host } = await startHost({
      kind,
      env: { WORKER_GPU: '?' },
      envFor: (index) => ({ WORKER_GPU: `gpu${index}` }),
    })
    const gpu = async () => firstOutput(await host.run([{}], { signal: NEVER })).env
    expect(await gpu()).toBe('gpu0')

    await host.run([{ do: 'exit' }], { signal: NEVER })

    expect(await gpu()).toBe('gpu0')
  })
})

describe('a worker process', () => {
  it('has a lower priority, so that HTTP stays responsive', async () => {
    const { host } = await startHost({ kind: 'process', niceness: 7 })

    const pid = placeOf(await host.run([{}], { signal: NEVER })) as number

    expect(getPriority(pid)).toBe(7)
  })

  it('has the limit of memory it was given', async () => {
    const { host } = await startHost({ kind: 'process', file: 'memory.mjs', pipelineName: 'Memory', memoryMiB: 64 })

    const limit = firstOutput(await host.run([{}], { signal: NEVER })).value as number

    expect(limit).toBeLessThan(200)
  })
})
