import { describe, expect, it } from 'vitest'

import { until } from '../../../src/testing/until.ts'
import type { Setting } from './hosts.ts'
import { begin, cleanUpAfterEach, createHost, modulePath, NEVER, newFile, shortly, SOON, startHost } from './hosts.ts'

cleanUpAfterEach()

describe.each(['process', 'thread'] as const)('the start of a host with workers of kind %s', (kind) => {
  const failing: readonly (readonly [string, Omit<Setting, 'kind'>, object])[] = [
    [
      'setup() throws',
      { settings: { setup: 'throw' }, minWorkers: 2 },
      { name: 'RangeError', message: 'no weights', cause: { message: 'disk' } },
    ],
    [
      'setup() does not end',
      { settings: { setup: 'hang' }, startTimeoutMs: 1_000 },
      { code: 'KIQ_SERVE_TIMED_OUT', message: expect.stringContaining('1000 ms') as string },
    ],
    [
      'setup() computes for ever',
      { settings: { setup: 'spin' }, startTimeoutMs: 1_000 },
      { code: 'KIQ_SERVE_TIMED_OUT' },
    ],
    [
      'setup() ends the worker',
      { settings: { setup: 'exit' } },
      { code: 'KIQ_SERVE_WORKER_DIED', message: expect.stringContaining('exit code 9') as string },
    ],
    ['there is no such module', { file: 'nowhere.mjs' }, { name: 'ConfigError', code: 'KIQ_MODULE_INVALID' }],
    ['the module throws', { file: 'throws.mjs' }, { code: 'KIQ_MODULE_INVALID', cause: { message: 'not today' } }],
    [
      'the module has other pipelines',
      { pipelineName: 'Missing' },
      { code: 'KIQ_MODULE_INVALID', message: expect.stringContaining('its pipelines are Faulty') as string },
    ],
    [
      'the export is no pipeline',
      { file: 'no-pipeline.mjs' },
      { code: 'KIQ_MODULE_INVALID', message: expect.stringContaining('does not extend InferencePipeline') as string },
    ],
  ]

  it.each(failing)('fails with the reason when %s, and leaves no worker', async (_, setting, expected) => {
    const { host } = createHost({ kind, ...setting })

    await expect(host.start()).rejects.toMatchObject(expected)

    expect(host.workers).toBe(0)
    expect(await host.health()).toBe(false)
  })

  it('takes the pipeline from an exported service', async () => {
    const { host } = await startHost({ kind, file: 'service.mjs', pipelineName: 'NotExported' })

    expect(shortly(await host.run([{ value: 'x' }], { signal: NEVER }))).toEqual(['X from an inference worker'])
  })

  it('takes a default export, and TypeScript', async () => {
    const { host } = await startHost({ kind, file: 'typed.ts', pipelineName: 'Typed' })

    expect(shortly(await host.run([{ value: 'x' }], { signal: NEVER }))).toEqual(['typed x'])
  })

  it('is given up by a stop', async () => {
    const { host } = createHost({ kind, settings: { setup: 'hang' } })
    const started = host.start()
    const failed = expect(started).rejects.toMatchObject({ code: 'KIQ_SERVE_STOPPING' })

    await host.stop()
    await failed

    expect(host.workers).toBe(0)
  })

  it('that fails again and again fails what waits for it, with the cause', async () => {
    const { host } = await startHost({ kind, settings: { setup: 'only-first', file: newFile() } })
    const running = begin(host, [{ do: 'exit', value: 1 }])

    const outcomes = await running.outcomes

    expect(outcomes).toMatchObject([
      { error: { code: 'KIQ_SERVE_WORKER_DIED', cause: { message: 'only the first one' } } },
    ])
    expect(await host.health()).toBe(false)
  })
})

describe('a host with minWorkers 0', () => {
  it('starts a worker for the first batch, and ends it when it was idle', async () => {
    const { host } = await startHost({ kind: 'process', minWorkers: 0, idleTimeoutMs: 50 })
    expect(host.workers).toBe(0)
    expect(await host.health()).toBe(true)

    expect(shortly(await host.run([{ value: 1 }], { signal: NEVER }))).toEqual([1])

    await until(() => host.workers === 0, SOON)
    expect(await host.health()).toBe(true)
  })

  it('has spare workers only while there is something to do', async () => {
    const { host } = await startHost({ kind: 'thread', minWorkers: 0, spare: 1, idleTimeoutMs: 50 })

    await host.run([{ value: 1 }], { signal: NEVER })

    await until(() => host.workers === 0, SOON)
  })
})

describe('the options of a host', () => {
  it.each([
    [{ minWorkers: -1 }, '`minWorkers`'],
    [{ maxWorkers: 0 }, '`maxWorkers`'],
    [{ minWorkers: 3, maxWorkers: 2 }, 'at most `maxWorkers`, which is 2'],
    [{ concurrency: 1.5 }, '`concurrency`'],
    [{ abortGraceMs: Number.NaN }, '`abortGraceMs`'],
    [{ niceness: 20 }, '`niceness`'],
    [{ settings: { labels: ['a', () => 'b'] } }, '`context.settings.labels[1]`'],
  ])('are refused when they are %j', (options, text) => {
    expect(() => createHost({ kind: 'process', ...options })).toThrow(text)
  })

  it('name the path of the module as it is, or as a URL', async () => {
    const url = new URL(`file://${modulePath('faulty.mjs')}`).href
    const { host } = await startHost({ kind: 'thread', ...{ module: url } })

    expect(shortly(await host.run([{ value: 1 }], { signal: NEVER }))).toEqual([1])
  })
})
