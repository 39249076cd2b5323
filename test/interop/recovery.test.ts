import { describe, expect, it } from 'vitest'

import type { RedisStreamBroker, RedisStreamTransport } from '../../src/adapters/redis/index.ts'
import { context } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import type { Kit } from './kit.ts'
import { interop, SOON, WAIT } from './kit.ts'

const IDLE_MS = 500
const LONG_MS = 60_000

interop('messages of workers that are gone', (kit) => {
  describe('of Python', () => {
    it('go to a worker of Kiq', async () => {
      const { queue, broker, ids } = await heldByPython(kit, 'killed')

      await serve(kit, queue, 'at once')

      const results = await Promise.all(ids.map((id) => broker.sentTask(id).result(WAIT)))
      // The second delivery, also of what Python had fetched and not begun.
      expect(results).toEqual(ids.map(() => 'kiq, attempt 2'))
      const runs = await Promise.all(ids.map((id) => kit.runs(id)))
      expect(runs.flat().toSorted()).toEqual([...ids.map(() => 'kiq'), 'python'])
      expect(await kit.depth(queue)).toEqual({ length: 0, pending: 0 })
      const warnings = kit.log.lines.filter(({ fields }) => fields['queue'] === queue)
      expect(warnings.map(({ message }) => message)).toContain(
        'Took over 3 message(s) that idled with foreign workers.',
      )
    })

    it('also go there when the worker lives, and its task takes longer than the idle timeout', async () => {
      const { queue, broker, ids } = await heldByPython(kit, 'running')

      await serve(kit, queue, 'at once')

      expect(await broker.sentTask(ids[0] ?? '').result(WAIT)).toBe('kiq, attempt 2')
    })

    it("stay where they are as long as Taskiq's lock is held", async () => {
      const { queue, broker, ids } = await heldByPython(kit, 'killed')
      const lock = `autoclaim:taskiq:${queue}`
      await kit.command('SET', lock, 'somebody')
      const before = await kit.pending(queue)

      await serve(kit, queue, 'at once')
      const beat = async (): Promise<number> => Number(await kit.command('GET', `kiq:{${queue}}:beat`))
      const first = await until(beat, SOON)
      await until(async () => (await beat()) > first + 3 * IDLE_MS, SOON)

      expect(await kit.pending(queue)).toEqual(before)
      await kit.command('DEL', lock)
      const results = await Promise.all(ids.map((id) => broker.sentTask(id).result(WAIT)))
      expect(results).toEqual(ids.map(() => 'kiq, attempt 2'))
      expect(await kit.command('EXISTS', lock)).toBe(0)
    })

    it('stay with Python when Kiq is told so', async () => {
      const { queue, ids } = await heldByPython(kit, 'killed')
      const before = await kit.pending(queue)

      await serve(kit, queue, 'never')
      const beat = async (): Promise<number> => Number(await kit.command('GET', `kiq:{${queue}}:beat`))
      const first = await until(beat, SOON)
      await until(async () => (await beat()) > first + 3 * IDLE_MS, SOON)

      expect(await kit.pending(queue)).toEqual(before)
      await kit.python({ queue, options: { idle_timeout: IDLE_MS, xread_block: 100 } })
      await sendUntil(kit, queue, async () => (await kit.runs(ids[2] ?? '')).length > 0)
    })
  })

  describe('of Kiq', () => {
    // One with a priority, which a worker of Kiq held when it died, waits for the next worker of Kiq: docs/redis.md.
    it('go to a worker of Python when no other is there', async () => {
      const queue = kit.queue()
      const broker = await kit.broker({ queue })
      const work = broker.externalTask<[ms: number], string>('both:work')
      const abandoned = await serve(kit, queue, 'never')
      const sent = await work.kiqMany([[LONG_MS], [LONG_MS]])
      const ids = sent.map(({ taskId }) => taskId)
      await until(async () => (await Promise.all(ids.map((id) => kit.runs(id)))).flat().length === 2, SOON)

      await (abandoned.transport as RedisStreamTransport).abandon()
      await kit.python({ queue, options: { idle_timeout: IDLE_MS, xread_block: 100 } })

      await sendUntil(kit, queue, async () => {
        const runs = await Promise.all(ids.map((id) => kit.runs(id)))
        return runs.every((languages) => languages.join() === 'kiq,python')
      })
    })

    it('stay there as long as the worker lives, however long its task takes', async () => {
      const queue = kit.queue()
      const idleMs = 1_000
      const broker = await serve(kit, queue, 'never')
      const work = broker.externalTask<[ms: number], string>('both:work')
      const sent = await work.kiq(3 * idleMs)
      await until(async () => (await kit.runs(sent.taskId)).length === 1, SOON)
      await kit.python({ queue, options: { idle_timeout: idleMs, xread_block: 100 } })

      await sendUntil(kit, queue, () => sent.isReady())

      expect(await sent.result(WAIT)).toBe('kiq, attempt 1')
      expect(await kit.runs(sent.taskId)).toEqual(['kiq'])
    })
  })
})

interface Held {
  readonly queue: string
  /** For sending, and for results. */
  readonly broker: RedisStreamBroker
  /** Python was at the first of these, and had fetched the others. */
  readonly ids: readonly string[]
}

async function heldByPython(kit: Kit, worker: 'killed' | 'running'): Promise<Held> {
  const queue = kit.queue()
  const broker = await kit.broker({ queue })
  const python = await kit.python({ queue }, ['--max-async-tasks', '1'])
  const work = broker.externalTask<[ms: number], string>('both:work')
  const sent = await work.kiqMany([[LONG_MS], [LONG_MS], [LONG_MS]])
  const ids = sent.map(({ taskId }) => taskId)
  await until(async () => (await kit.runs(ids[0] ?? '')).length === 1, SOON)
  await until(async () => (await kit.pending(queue)).length === 3, SOON)
  if (worker === 'killed') await python.kill()
  return { queue, broker, ids }
}

/** A worker of Kiq that takes over what idles. */
async function serve(kit: Kit, queue: string, takesOver: 'at once' | 'never'): Promise<RedisStreamBroker> {
  const idleTimeout = takesOver === 'never' ? takesOver : IDLE_MS
  const broker = await kit.broker({ queue, lease: '1s', idleTimeout })
  broker.task('both:work', async (ms: number) => {
    const { taskId, attempt, signal } = context()
    await kit.note(taskId)
    if (attempt === 1) await ended(signal, ms)
    return `kiq, attempt ${attempt}`
  })
  broker.task('py:show', () => undefined)
  await kit.work(broker)
  return broker
}

/** Sends until it is so: taskiq-redis 1.2.4 looks for lost messages only when another one has come. */
async function sendUntil(kit: Kit, queue: string, condition: () => Promise<boolean>): Promise<void> {
  const broker = await kit.broker({ queue })
  const show = broker.externalTask('py:show')
  await until(
    async () => {
      await show.kiq()
      return await condition()
    },
    { ...SOON, everyMs: 100 },
  )
}

async function ended(signal: AbortSignal, ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
