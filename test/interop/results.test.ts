import { describe, expect, it } from 'vitest'

import { RedisResultBackend } from '../../src/adapters/redis/index.ts'
import { context } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import { interop, SOON, WAIT } from './kit.ts'

interop('results', (kit) => {
  it('lie under a prefix, and expire', async () => {
    const { url } = kit
    const [queue, python] = [kit.queue(), kit.queue()]
    const settings = { queue, backend: { prefix_str: 'app', result_ex_time: 500 } }
    await kit.python({ ...settings, queue: python })
    const resultBackend = new RedisResultBackend({ url, prefix: 'app', expiry: '100s' })
    const broker = await kit.broker({ queue, resultBackend })
    broker.task('ts:progress', async () => {
      await context().progress.set('half')
      return 'ok'
    })
    await kit.work(broker)

    const [theirs] = await kit.call(settings, [{ task: 'ts:progress', call: '()' }])
    const steps = "[('half', None)]"
    const ours = await broker.externalTask('py:progress', { queue: python }).kiq(steps)

    expect(theirs).toMatchObject({ value: "'ok'", progress: "('half', None)" })
    expect(await ours.result(WAIT)).toBe("('half', None)")
    expect(await ours.getProgress()).toEqual({ state: 'half', meta: undefined })
    const secondsOf = async (taskId: string): Promise<readonly unknown[]> => {
      const keys = [`app:${taskId}`, `app:${taskId}__progress`, taskId]
      return await Promise.all(keys.map((key) => kit.command('TTL', key)))
    }
    const close = (seconds: number): unknown => expect.toSatisfy((ttl: number) => ttl <= seconds && ttl > seconds - 60)
    expect(await secondsOf(theirs?.taskId ?? '')).toEqual([close(100), close(100), -2])
    expect(await secondsOf(ours.taskId)).toEqual([close(500), close(500), -2])
  })

  describe('that are deleted when they are read', () => {
    it('are read once by Python', async () => {
      const settings = { queue: kit.queue(), backend: { keep_results: false } }
      const broker = await kit.broker(settings)
      broker.task('ts:ok', () => 'ok')
      await kit.work(broker)

      const [outcome] = await kit.call(settings, [{ task: 'ts:ok', call: '()' }])

      expect(outcome?.value).toBe("'ok'")
      expect(await broker.hasResult(outcome?.taskId ?? '')).toBe(false)
    })

    it('are read once by us', async () => {
      const { url } = kit
      const queue = kit.queue()
      await kit.python({ queue })
      const broker = await kit.broker({ queue, resultBackend: new RedisResultBackend({ url, keepResults: false }) })

      const sent = await broker.externalTask('py:make').kiq('1 + 1')

      expect(await sent.result(WAIT)).toBe(2)
      await until(async () => !(await sent.isReady()), SOON)
    })
  })
})
