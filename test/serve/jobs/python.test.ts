import { expect, it } from 'vitest'

import { RedisResultBackend, RedisStreamBroker } from '../../../src/adapters/redis/index.ts'
import { silentLogger } from '../../../src/index.ts'
import { interop } from '../../interop/kit.ts'
import { ended, startJobs } from './kit.ts'

interop('jobs that a Python client sends', (kit) => {
  it('are executed with what it leaves out, and known by its id', async () => {
    const appName = kit.queue()
    const broker = new RedisStreamBroker({
      url: kit.url,
      logger: silentLogger,
      resultBackend: new RedisResultBackend({ url: kit.url, serializer: 'json' }),
    })
    const { jobs, queues } = await startJobs({ broker, appName })

    const outcomes = await kit.call({ queue: `serve:${appName}`, results: 'json' }, [
      { task: 'serve.m', call: "(message={'text': 'good'}, success_queue='s', meta={'user': 'ü'})" },
      { task: 'serve.m', call: "({'message': {'text': 'good'}, 'webhook': None},)" },
      { task: 'serve.m', call: "(message={'text': 'bad'})" },
      { task: 'serve.m', call: "(text='good')" },
    ])

    expect(outcomes.map(({ isErr }) => isErr)).toEqual([false, false, true, true])
    const [first, second, bad, invalid] = await Promise.all(outcomes.map(({ taskId }) => ended(jobs, taskId)))
    expect(first).toMatchObject({
      state: 'succeeded',
      attempt: 1,
      meta: { user: 'ü' },
      result: { status: 'success', sentiment: 'positive' },
      queue: { name: 's', state: 'sent' },
    })
    expect(await queues.take('s')).toMatchObject({ status: 'success', meta: { user: 'ü' }, job_id: first?.job_id })
    expect(outcomes[0]?.value).toContain("'envelope': {'status': 'success'")
    expect(second).toMatchObject({ state: 'succeeded', meta: {}, queue: null, webhook: null })
    expect(bad).toMatchObject({ state: 'failed', result: { status: 'unreadable' } })
    expect(invalid).toMatchObject({ state: 'failed', result: null, error: 'The input does not fit the model.' })
    // Also when it sent the record as its one argument.
    expect(await jobs.retry(bad?.job_id ?? '')).toMatchObject({ state: 'queued', attempt: 1 })
    await ended(jobs, bad?.job_id ?? '')
  })
})
