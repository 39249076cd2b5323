import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'

import { describe, expect, it, onTestFinished } from 'vitest'

import type { Logger } from '../../contract/index.ts'
import { silentLogger } from '../../contract/index.ts'
import { until } from '../../testing/until.ts'
import { Heartbeat } from './heartbeat.ts'
import { SqliteTransport } from './transport.ts'

const LEASE_MS = 2_000

describe('Heartbeat', () => {
  it('is started again when its thread dies, in time to keep the lease', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kiq-sqlite-heartbeat-'))
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
    const path = join(directory, 'kiq.db')
    const threads: Worker[] = []
    const remember = (thread: Worker): void => void threads.push(thread)
    process.on('worker', remember)
    onTestFinished(() => void process.off('worker', remember))
    const errors: string[] = []
    const logger: Logger = { ...silentLogger, error: (_, text) => errors.push(text) }
    const holder = await start(new SqliteTransport({ path, lease: LEASE_MS }), logger)
    await holder.send([{ taskId: 'a', taskName: 't', queue: 'q', body: '', labels: {} }])
    const [delivery] = await holder.receive({ queues: ['q'], max: 1, signal: AbortSignal.timeout(5_000) })

    await threads[0]?.terminate()
    await until(() => threads.length === 2, { timeoutMs: 5_000 })
    const other = await start(new SqliteTransport({ path, lease: LEASE_MS }, { connection: 'own' }), silentLogger)
    await delay(1.2 * LEASE_MS)

    expect(errors).toEqual([expect.stringContaining('starting it again')])
    expect(await other.inspect()).toMatchObject([{ ready: 0, running: 1 }])
    expect(delivery && (await holder.settle([{ kind: 'ack', delivery }]))).toEqual(['settled'])
  })

  it('says why it does not start', async () => {
    const heartbeat = new Heartbeat({
      settings: {
        specifier: undefined,
        path: join(tmpdir(), 'no', 'such', 'directory', 'kiq.db'),
        leaseMs: LEASE_MS,
        synchronous: 'normal',
        session: 1,
        host: 'here',
      },
      onReport: () => undefined,
      onDeath: () => undefined,
    })

    await expect(heartbeat.start()).rejects.toMatchObject({ code: 'KIQ_TRANSPORT_FAILED', cause: expect.anything() })
  })
})

async function start(transport: SqliteTransport, logger: Logger): Promise<SqliteTransport> {
  await transport.start({
    role: 'worker',
    workerId: 'w',
    logger,
    defaultQueue: 'q',
    onCancel: () => undefined,
    onLeaseLost: () => undefined,
  })
  onTestFinished(() => transport.stop())
  return transport
}
