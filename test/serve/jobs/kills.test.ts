import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, it, onTestFinished } from 'vitest'

import { until } from '../../../src/testing/until.ts'
import { diesWithTests } from '../../support/dies-with-tests.ts'
import { ended, sqlite, startJobs, temporaryFolder } from './kit.ts'

const JOBS = 500
const CONCURRENCY = 8

interface Message {
  readonly status: string
  readonly error?: string
  readonly double?: number
  readonly job_id: string
}

// Against the built package: a process of its own loads `dist`.
function startService(folder: string): ChildProcess {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'service.mjs'), folder, String(CONCURRENCY)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  diesWithTests(child)
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

/** What the services have sent to a queue. A line that is not complete was not sent. */
function messages(folder: string, queue: string): readonly Message[] {
  const path = join(folder, `${queue}.jsonl`)
  if (!existsSync(path)) return []
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as Message)
}

describe('jobs of a service that is killed', () => {
  it('are all finished by the next, each with its message', async () => {
    const folder = temporaryFolder()
    const { jobs } = await startJobs({ broker: sqlite(join(folder, 'jobs.db')), appName: 'app', executes: false })
    const sent = await Promise.all(
      Array.from({ length: JOBS }, (_, n) => jobs.submit('m', { message: { n }, success_queue: 's', meta: { n } })),
    )
    const ids = sent.map(({ job }) => job.job_id)

    for (const count of [100, 300]) {
      const service = startService(folder)
      await until(() => messages(folder, 's').length >= count, { timeoutMs: 60_000 })
      await kill(service)
    }
    const last = startService(folder)
    onTestFinished(() => kill(last))
    const sentFor = (): Set<string> => new Set(messages(folder, 's').map(({ job_id }) => job_id))
    await until(() => sentFor().size === JOBS, { timeoutMs: 60_000 })
    const done = await Promise.all(ids.map((id) => ended(jobs, id)))

    expect(new Set(ids)).toEqual(sentFor())
    expect(done.filter(({ state, queue }) => state !== 'succeeded' || queue?.state !== 'sent')).toEqual([])
    expect(done.map(({ result }) => result?.['double'])).toEqual(ids.map((_, n) => 2 * n))
    // What ran when a service was killed, and only that, may have been sent twice.
    expect(messages(folder, 's').length - JOBS).toBeLessThanOrEqual(2 * CONCURRENCY)
  }, 180_000)

  it('that kill it each time are given up, with a message that says so, and the others are finished', async () => {
    const folder = temporaryFolder()
    const { jobs } = await startJobs({ broker: sqlite(join(folder, 'jobs.db')), appName: 'app', executes: false })
    const poison = await jobs.submit('m', { message: { n: 0, dies: true }, failure_queue: 'f' })
    const other = await jobs.submit('m', { message: { n: 1 }, success_queue: 's' })

    let deaths = 0
    let isOver = false
    const services = (async () => {
      while (!isOver) {
        const service = startService(folder)
        const dies = once(service, 'exit').then(() => (deaths += isOver ? 0 : 1))
        await Promise.race([dies, until(() => isOver, { timeoutMs: 120_000 })])
        await kill(service)
      }
    })()
    const done = await until(
      async () => {
        const job = await jobs.get(poison.job.job_id)
        return job?.state === 'failed' ? job : undefined
      },
      { timeoutMs: 120_000 },
    )
    const finished = await ended(jobs, other.job.job_id)
    isOver = true
    await services

    const error = 'The process that ran the model ended before it was done.'
    expect(done).toMatchObject({ error, result: null, queue: { name: 'f', state: 'sent' } })
    expect(messages(folder, 'f')).toMatchObject([
      { status: 'error', error, original_message: { message: { dies: true } } },
    ])
    expect(finished.state).toBe('succeeded')
    expect(deaths).toBe(4)
  }, 180_000)
})
