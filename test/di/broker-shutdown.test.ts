import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { describe, expect, it, onTestFinished } from 'vitest'

import { bind, createContainer, setupInjection, token } from '../../src/di/index.ts'
import { silentLogger } from '../../src/index.ts'
import { inMemory } from '../support/brokers.ts'
import { deferred } from '../support/deferred.ts'
import { onFile, quiet, temporaryFile, workers } from './task-kit.ts'

const Pool = token<{ readonly name: string }>('Pool')
const Cache = token<{ readonly pool: string }>('Cache')

/** A pool and a cache on top of it, which note when they are closed. */
function infrastructure(log: string[]) {
  return [
    bind(Pool, { create: async () => ({ name: 'pool' }), dispose: ({ name }) => void log.push(`closed ${name}`) }),
    bind(Cache, {
      deps: { pool: Pool },
      create: ({ pool }) => ({ pool: pool.name }),
      dispose: () => void log.push('closed cache'),
    }),
  ]
}

describe('broker.shutdown()', () => {
  it('leaves the container open for others, such as a web server', async () => {
    const log: string[] = []
    const container = quiet(...infrastructure(log))
    const broker = inMemory()
    setupInjection(broker, container)
    const task = broker.task({ name: 'task', deps: { cache: Cache }, run: (_: unknown, { cache }) => cache.pool })
    const server = createServer((_request, response) => {
      void container.get(Cache).then((cache) => response.end(`served from ${cache.pool}`))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    const request = async (): Promise<string> => await (await fetch(`http://127.0.0.1:${port}/`)).text()
    await broker.startup()
    expect(await (await task.kiq()).result()).toBe('pool')

    await broker.shutdown()

    expect(container.isClosed).toBe(false)
    expect(log).toEqual([])
    expect(await request()).toBe('served from pool')
    await broker.startup()
    expect(await (await task.kiq()).result()).toBe('pool')
    await broker.shutdown()
    await container.close()
    expect(log).toEqual(['closed cache', 'closed pool'])
  })

  it('closes the container with closeContainer: true, after the last task has ended', async () => {
    const log: string[] = []
    const container = quiet(...infrastructure(log))
    const broker = inMemory({ waitTasksTimeout: '10s' })
    setupInjection(broker, container, { closeContainer: true })
    const running = deferred()
    const gate = deferred()
    const task = broker.task({
      name: 'task',
      deps: { cache: Cache },
      run: async () => {
        running.resolve()
        await gate.promise
        log.push('task ended')
      },
    })
    await broker.startup()
    await task.kiq()
    await running.promise

    const stopped = broker.shutdown()
    gate.resolve()
    await stopped

    expect(container.isClosed).toBe(true)
    expect(log).toEqual(['task ended', 'closed cache', 'closed pool'])
  })

  it('does so for a client too, where values were asked for by hand', async () => {
    const log: string[] = []
    const broker = onFile(temporaryFile())
    const container = quiet(...infrastructure(log))
    setupInjection(broker, container, { closeContainer: true })
    await broker.startup()
    await container.get(Cache)

    await broker.shutdown()

    expect(log).toEqual(['closed cache', 'closed pool'])
  })

  it('lets what it closes send: the message is stored', async () => {
    const path = temporaryFile()
    const Outbox = token<string[]>('Outbox')
    const broker = onFile(path)
    const work = workers(broker)
    const flush = broker.externalTask<[lines: string[]]>('flush', { queue: 'flushed' })
    setupInjection(
      broker,
      quiet(
        bind(Outbox, {
          use: async function* () {
            const lines: string[] = []
            yield lines
            await flush.kiq(lines)
          },
        }),
      ),
      { closeContainer: true },
    )
    const note = broker.task({
      name: 'note',
      deps: { outbox: Outbox },
      run: ({ line }: { line: string }, { outbox }) => void outbox.push(line),
    })
    const worker = await work()
    await (await note.kiq({ line: 'first' })).result()
    await (await note.kiq({ line: 'second' })).result()

    await worker.stop()
    await broker.shutdown()

    const other = onFile(path)
    const otherWork = workers(other)
    const flushed = deferred<string[]>()
    other.task('flush', (lines: string[]) => flushed.resolve(lines), { queue: 'flushed' })
    await otherWork()
    expect(await flushed.promise).toEqual(['first', 'second'])
  })

  it('throws what could not be closed, when everything else is stopped', async () => {
    const log: string[] = []
    const Bad = token<string>('Bad')
    const broker = onFile(temporaryFile())
    const work = workers(broker)
    setupInjection(
      broker,
      createContainer({
        logger: silentLogger,
        providers: [
          ...infrastructure(log),
          bind(Bad, {
            deps: { cache: Cache },
            create: () => 'bad',
            dispose: () => {
              throw new Error('cannot close')
            },
          }),
        ],
      }),
      { closeContainer: true },
    )
    broker.on('workerShutdown', () => void log.push('workerShutdown'))
    const task = broker.task({ name: 'task', deps: { bad: Bad }, run: (_: unknown, { bad }) => bad })
    const worker = await work()
    expect(await (await task.kiq()).result()).toBe('bad')
    await worker.stop()

    await expect(broker.shutdown()).rejects.toMatchObject({ code: 'KIQ_DI_DISPOSE_FAILED', keyName: 'Bad' })

    expect(log).toEqual(['closed cache', 'closed pool', 'workerShutdown'])
    expect(broker.isStarted).toBe(false)
  })
})
