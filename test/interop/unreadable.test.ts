import { describe, expect, it } from 'vitest'

import type { RedisStreamBroker } from '../../src/adapters/redis/index.ts'
import type { DeadLetter } from '../../src/contract/index.ts'
import type { TaskSuccess } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import type { Kit } from './kit.ts'
import { failureOf, interop, SOON, WAIT } from './kit.ts'

const wire = (change: object): string => {
  return JSON.stringify({ task_id: 'id', task_name: 'ts:ok', labels: {}, args: [], kwargs: {}, ...change })
}

/** Bodies that no worker can read, and what the dead letter says. */
const BROKEN: readonly (readonly [what: string, body: string, reason: string])[] = [
  ['JSON that is cut off', '{"task_id": "id", "task_name": "ts:ok"', 'it is not json'],
  ['nothing', '', 'it is not json'],
  ['a list', '[1, 2]', 'it is not an object'],
  ['a message without arguments', wire({ args: undefined }), '`args` is missing'],
  ['an id that is no text', wire({ task_id: 1 }), '`task_id` is a number'],
  ['a label that does not fit its type', wire({ labels: { n: 'x' }, labels_types: { n: 2 } }), 'Label "n" should be'],
  ['a type of label that is not known', wire({ labels: { n: 'x' }, labels_types: { n: 9 } }), 'the type number 9'],
]

interop('messages that cannot be executed', (kit) => {
  describe('by Kiq', () => {
    it('are dead letters when no such task is known, and Python is told', async () => {
      const { queue, broker } = await serve(kit)

      const [unknown, known] = await kit.call({ queue }, [
        { task: 'py:show', call: '(1, two=2)' },
        { task: 'ts:ok', call: '()' },
      ])

      expect(unknown).toMatchObject({ isErr: true, error: { type: 'taskiq.exceptions.ConfigError' } })
      expect(unknown?.error?.args).toContain('No task named "py:show" is registered in this worker (it knows: ts:ok)')
      expect(known?.value).toBe("'ok'")
      const [letter] = await lettersOf(broker)
      expect(letter).toMatchObject({ queue, taskId: unknown?.taskId, taskName: 'py:show', attempt: 1 })
      expect(letter?.reason).toContain('No task named "py:show" is registered in this worker')
      expect(await kit.depth(queue)).toEqual({ length: 0, pending: 0 })
    })

    it('are executed by Python after they were put back', async () => {
      const { queue, broker, worker } = await serve(kit)
      const [id = ''] = await kit.send({ queue }, [{ task: 'py:show', call: "(1, two='é')" }])
      expect(failureOf(await broker.sentTask(id).waitResult(WAIT))).toMatchObject({ code: 'KIQ_TASK_UNKNOWN' })
      await worker.stop()
      await kit.python({ queue })

      expect(await broker.transport.deadLetters?.retry({ queue })).toBe(1)

      const result = await until(() => successOf(broker, id), SOON)
      expect(result.returnValue).toBe("((1,), {'two': 'é'})")
      expect(await lettersOf(broker, 0)).toEqual([])
    })

    it('have the result of Python then, also for a client that heard of the failure', async () => {
      const { queue, broker, worker } = await serve(kit)
      // From here on it hears of all results of its own tasks.
      expect(await (await broker.externalTask('ts:ok').kiq()).result(WAIT)).toBe('ok')
      const sent = await broker.externalTask('py:show').kiq(1)
      await lettersOf(broker)
      const heardAt = performance.now()
      await worker.stop()
      await kit.python({ queue })
      await broker.transport.deadLetters?.retry({ queue })
      await until(() => successOf(broker, sent.taskId), SOON)
      // What has just been told is believed without a look.
      await until(() => performance.now() > heardAt + 1_000, SOON)

      expect(await sent.result(WAIT)).toBe('((1,), {})')
    })

    it.each(BROKEN)('are dead letters when they are %s', async (_what, body, reason) => {
      const { queue, broker } = await serve(kit)

      await kit.command('XADD', queue, '*', 'data', body)
      const [outcome] = await kit.call({ queue }, [{ task: 'ts:ok', call: '()' }])

      expect(outcome?.value).toBe("'ok'")
      const [letter] = await lettersOf(broker)
      expect(letter).toMatchObject({ queue, attempt: 1 })
      expect(letter?.reason).toContain(`The message cannot be read: `)
      expect(letter?.reason).toContain(reason)
      expect(Buffer.from(letter?.body ?? 'no body').toString()).toBe(body)
      expect(await kit.depth(queue)).toEqual({ length: 0, pending: 0 })
    })

    // Python's listener dies of it.
    it('are dead letters when they are entries of somebody else', async () => {
      const { queue, broker } = await serve(kit)

      await kit.command('XADD', queue, '*', 'payload', '{}', 'other', 'é')
      const [outcome] = await kit.call({ queue }, [{ task: 'ts:ok', call: '()' }])

      expect(outcome?.value).toBe("'ok'")
      const [letter] = await lettersOf(broker)
      expect(letter?.reason).toBe('The entry has no field "data": it is no message of Taskiq or Kiq.')
      expect(Buffer.from(letter?.body ?? '').toString()).toBe('["payload","{}","other","é"]')
      await until(async () => (await kit.depth(queue)).length === 0, SOON)
    })
  })

  describe('by Python', () => {
    const what = kit.isOlder ? 'stay pending, and go to a worker of Kiq that knows the task' : 'are lost'
    it(`${what} when no such task is known`, async () => {
      const queue = kit.queue()
      const python = await kit.python({ queue })
      const broker = await kit.broker({ queue, lease: '500ms', idleTimeout: '500ms' })
      const sent = await broker.task('ts:ok', () => 'ok').kiq()
      await until(() => python.output.includes('task "ts:ok" is not found'), SOON)
      await until(async () => (await kit.pending(queue)).length === (kit.isOlder ? 1 : 0), SOON)

      await kit.work(broker)

      if (kit.isOlder) expect(await sent.result(WAIT)).toBe('ok')
      else expect(await sent.isReady()).toBe(false)
    })

    const unreadable = kit.isOlder ? 'stay pending, until a worker of Kiq buries them' : 'are lost'
    it(`${unreadable} when they are unreadable`, async () => {
      const queue = kit.queue()
      const python = await kit.python({ queue })
      await kit.command('XADD', queue, '*', 'data', '{"task_id":')
      await until(() => python.output.includes('Cannot parse message'), SOON)
      await until(async () => (await kit.pending(queue)).length === (kit.isOlder ? 1 : 0), SOON)
      const [next] = await kit.call({ queue }, [{ task: 'py:show', call: '()' }])
      expect(next?.value).toBe(`'((), {})'`)

      const { broker } = await serve(kit, queue)

      if (kit.isOlder) expect((await lettersOf(broker))[0]?.reason).toContain('it is not json')
      else expect(await lettersOf(broker, 0)).toEqual([])
    })
  })
})

async function serve(kit: Kit, queue = kit.queue()) {
  const broker = await kit.broker({ queue, lease: '500ms', idleTimeout: '500ms' })
  broker.task('ts:ok', () => 'ok')
  return { queue, broker, worker: await kit.work(broker) }
}

/** What is stored now, if it is no failure. */
async function successOf(broker: RedisStreamBroker, taskId: string): Promise<TaskSuccess<unknown> | undefined> {
  const result = await broker.getResult(taskId)
  return result?.isErr === false ? result : undefined
}

/** Waits until there are so many. */
async function lettersOf(broker: RedisStreamBroker, count = 1): Promise<readonly DeadLetter[]> {
  return await until(async () => {
    const letters = await broker.transport.deadLetters?.list({ queue: broker.defaultQueue })
    return letters?.length === count ? letters : undefined
  }, SOON)
}
