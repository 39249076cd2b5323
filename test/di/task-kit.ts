import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { onTestFinished } from 'vitest'

import { MemoryResultBackend, MemoryTransport } from '../../src/adapters/memory/index.ts'
import type { SqliteBrokerOptions } from '../../src/adapters/sqlite/index.ts'
import { SqliteBroker } from '../../src/adapters/sqlite/index.ts'
import type { Container, Provider, Token } from '../../src/di/index.ts'
import { bind, createContainer, token } from '../../src/di/index.ts'
import type { BrokerOptions, WorkerOptions } from '../../src/index.ts'
import { Broker, silentLogger, Worker } from '../../src/index.ts'

/** A container that says nothing. */
export function quiet(...providers: Provider[]): Container {
  return createContainer({ logger: silentLogger, providers })
}

export type Work = (options?: WorkerOptions) => Promise<Worker>

/** Starts workers that are stopped after the test, and the broker with them. */
export function workers(broker: Broker): Work {
  const started: Worker[] = []
  onTestFinished(async () => {
    await Promise.all(started.map((worker) => worker.stop({ running: 'abort' })))
    await broker.shutdown()
  })
  return async (options = {}) => {
    const worker = new Worker(broker, { abortGrace: 20, shutdownTimeout: 500, ...options })
    started.push(worker)
    await worker.start()
    return worker
  }
}

interface OnMemory {
  readonly broker: Broker
  readonly transport: MemoryTransport
  readonly work: Work
}

/** A broker in memory whose workers the test starts, with a short grace period. */
export function onMemory(options: BrokerOptions = {}): OnMemory {
  const results = new MemoryResultBackend()
  const transport = new MemoryTransport({ results })
  const broker = new Broker(transport, { logger: silentLogger, resultBackend: results, ...options })
  return { broker, transport, work: workers(broker) }
}

/** The path of a file in a folder that is removed after the test. */
export function temporaryFile(): string {
  const dir = mkdtempSync(join(tmpdir(), 'kiq-di-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return join(dir, 'kiq.db')
}

/** A broker on a file, shut down after the test. */
export function onFile(path: string, options: Partial<SqliteBrokerOptions> = {}): SqliteBroker {
  const broker = new SqliteBroker({ path, logger: silentLogger, ...options })
  onTestFinished(() => broker.shutdown())
  return broker
}

interface Transaction {
  readonly n: number
}

interface Transactions {
  readonly key: Token<Transaction>
  readonly provider: Provider
  /** `begin 1`, `commit 1`, `rollback 1`. */
  readonly log: string[]
  /** What they were rolled back with. */
  readonly errors: unknown[]
}

/** A scoped generator that commits or rolls back. */
export function transactions(commit: (n: number) => unknown = () => undefined): Transactions {
  const key = token<Transaction>('Tx')
  const log: string[] = []
  const errors: unknown[] = []
  let count = 0
  const provider = bind(key, {
    scope: 'scoped',
    use: async function* () {
      const n = (count += 1)
      log.push(`begin ${n}`)
      try {
        yield { n }
      } catch (error) {
        errors.push(error)
        log.push(`rollback ${n}`)
        throw error
      }
      await commit(n)
      log.push(`commit ${n}`)
    },
  })
  return { key, provider, log, errors }
}
