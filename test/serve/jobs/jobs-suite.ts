import { describe, expect, it } from 'vitest'

import { KiqError, silentLogger } from '../../../src/index.ts'
import type { Broker } from '../../../src/index.ts'
import { QueueSender } from '../../../src/serve/queues/index.ts'
import { recordingLogger } from '../../support/recording-logger.ts'
import { deferred } from '../../support/deferred.ts'
import { ended, endless, inState, makeJobs, sentiment } from './kit.ts'

const ISO = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as unknown

/** What jobs do on every engine. */
export function jobsSuite(name: string, makeBroker: () => Broker): void {
  describe(`jobs ${name}`, () => {
    it('are accepted as queued, executed, and known with their result', async () => {
      const { jobs } = makeJobs({ broker: makeBroker() })
      await jobs.start()

      const { job, isNew } = await jobs.submit('m', { message: { text: 'good' }, meta: { user: 1 } })
      const done = await ended(jobs, job.job_id)

      expect(isNew).toBe(true)
      expect(job).toEqual({
        job_id: expect.stringMatching(/^[0-9a-f]{32}$/) as unknown,
        model_name: 'm',
        state: 'queued',
        created_at: ISO,
        started_at: null,
        finished_at: null,
        duration_ms: null,
        attempt: 0,
        progress: null,
        result: null,
        error: null,
        meta: { user: 1 },
        queue: null,
        webhook: null,
      })
      expect(done).toEqual({
        ...job,
        state: 'succeeded',
        started_at: ISO,
        finished_at: ISO,
        duration_ms: expect.any(Number) as unknown,
        attempt: 1,
        result: { status: 'success', error: null, meta: { own: true }, sentiment: 'positive', confidence: 0.95 },
      })
    })

    it('send their output to the success queue, without error, with the meta of the request', async () => {
      const { jobs, queues } = makeJobs({ broker: makeBroker() })
      await jobs.start()

      const request = { message: { text: 'good' }, success_queue: 's', failure_queue: 'f', meta: { user: 1 } }
      const { job } = await jobs.submit('m', request)
      const message = (await queues.take('s')) as object

      expect(Object.keys(message)).toEqual(['status', 'meta', 'sentiment', 'confidence', 'job_id', 'timestamp'])
      expect(message).toMatchObject({ status: 'success', meta: { user: 1 }, sentiment: 'positive', job_id: job.job_id })
      const done = await ended(jobs, job.job_id)
      expect(done.queue).toEqual({ name: 's', state: 'sent', attempts: 1, error: null })
      expect(message).toHaveProperty('timestamp', done.finished_at)
      expect(queues.messages('f')).toEqual([])
    })

    it('send an output with another status to the failure queue, fail, and keep it as their result', async () => {
      const { jobs, queues } = makeJobs({ broker: makeBroker() })
      await jobs.start()

      const request = { message: { text: 'bad' }, success_queue: '', failure_queue: 'f', meta: { user: 1 } }
      const { job } = await jobs.submit('m', request)
      const message = (await queues.take('f')) as object
      const done = await ended(jobs, job.job_id)

      expect(Object.keys(message)).toEqual(['status', 'error', 'meta', 'at', 'original_message', 'job_id', 'timestamp'])
      expect(message).toMatchObject({
        status: 'unreadable',
        error: 'cannot read this one',
        meta: { user: 1 },
        at: 3,
        original_message: request,
      })
      expect(done).toMatchObject({
        state: 'failed',
        attempt: 1,
        error: 'cannot read this one',
        result: { status: 'unreadable', error: 'cannot read this one', meta: { own: true }, at: 3 },
        queue: { name: 'f', state: 'sent' },
      })
    })

    it('that threw send the request back, and tell nothing of the error but to the log', async () => {
      const log = recordingLogger()
      const { jobs, queues } = makeJobs({ broker: makeBroker(), log })
      await jobs.start()

      const request = { message: { text: 'poison' }, success_queue: 's', failure_queue: 'f', meta: { user: 1 } }
      const { job } = await jobs.submit('m', request)
      const message = (await queues.take('f')) as object
      const done = await ended(jobs, job.job_id)

      const error = `The model failed for this input. The log of the service has the cause, under job ${job.job_id}.`
      expect(Object.keys(message)).toEqual(['status', 'error', 'meta', 'original_message', 'job_id', 'timestamp'])
      expect(message).toMatchObject({ status: 'error', error, meta: {}, original_message: request })
      expect(done).toMatchObject({ state: 'failed', error, result: null, queue: { name: 'f', state: 'sent' } })
      expect(JSON.stringify([message, done])).not.toContain('secret')
      expect(log.lines.find(({ level }) => level === 'error')?.fields).toMatchObject({
        job: job.job_id,
        model: 'm',
        err: { message: 'ENOENT: /secret/model.bin' },
      })
    })

    it('that failed are sent again under their id, with their next attempt', async () => {
      let isBroken = true
      const { jobs, queues } = makeJobs({
        broker: makeBroker(),
        infer: async (input, options) => {
          if (isBroken) throw new Error('not yet')
          return await sentiment(input, options)
        },
      })
      await jobs.start()
      const { job } = await jobs.submit('m', { message: { text: 'good' }, success_queue: 's' })
      await ended(jobs, job.job_id)
      isBroken = false

      const again = await jobs.retry(job.job_id)
      await queues.take('s')
      const done = await inState(jobs, job.job_id, 'succeeded')

      expect(again).toMatchObject({ job_id: job.job_id, state: 'queued', attempt: 1, error: null, finished_at: null })
      expect(done).toMatchObject({ attempt: 2, created_at: job.created_at, error: null })
      await expect(jobs.retry(job.job_id)).rejects.toMatchObject({ code: 'KIQ_SERVE_JOB_STATE' })
    })

    it('that wait are cancelled, and sent again from there', async () => {
      const { jobs } = makeJobs({ broker: makeBroker(), infer: endless, concurrency: 1 })
      await jobs.start()
      const first = await jobs.submit('m', { message: 1 })
      await inState(jobs, first.job.job_id, 'running')
      const { job } = await jobs.submit('m', { message: 2 })

      const cancelled = await jobs.cancel(job.job_id)
      await expect(jobs.cancel(job.job_id)).rejects.toMatchObject({ code: 'KIQ_SERVE_JOB_STATE' })
      const again = await jobs.retry(job.job_id)

      const never = { attempt: 0, started_at: null }
      expect(cancelled).toMatchObject({
        state: 'cancelled',
        finished_at: ISO,
        error: 'The job was cancelled.',
        ...never,
      })
      expect(again).toMatchObject({ state: 'queued', finished_at: null })
      await jobs.cancel(first.job.job_id)
      expect(await inState(jobs, job.job_id, 'running')).toMatchObject({ job_id: job.job_id, attempt: 1 })
    })

    it('whose worker died in the middle of a stream run again, in the same execution', async () => {
      let runs = 0
      const { jobs } = makeJobs({
        broker: makeBroker(),
        infer: async (input, options) => {
          runs += 1
          options.onOutput?.({ part: 1 })
          if (runs === 1) throw new KiqError('KIQ_SERVE_WORKER_DIED', 'The process ended with signal SIGKILL.')
          return await sentiment(input, options)
        },
      })
      await jobs.start()

      const { job } = await jobs.submit('m', { message: { text: 'good' } })

      expect(await inState(jobs, job.job_id, 'succeeded')).toMatchObject({ attempt: 1 })
      expect(runs).toBe(2)
    })

    it('that run are cancelled, send no message, and can be sent again', async () => {
      let isEndless = true
      const aborted = deferred<unknown>()
      const { jobs, queues } = makeJobs({
        broker: makeBroker(),
        infer: async (input, options) => {
          options.signal.addEventListener('abort', () => aborted.resolve(options.signal.reason))
          return await (isEndless ? endless : sentiment)(input, options)
        },
      })
      await jobs.start()
      const { job } = await jobs.submit('m', { message: { text: 'good' }, success_queue: 's', failure_queue: 'f' })
      await inState(jobs, job.job_id, 'running')

      expect(await jobs.cancel(job.job_id)).toMatchObject({
        state: 'cancelled',
        attempt: 1,
        started_at: ISO,
        queue: null,
      })

      expect(await aborted.promise).toMatchObject({ code: 'KIQ_TASK_CANCELLED' })
      expect(queues.messages('f')).toEqual([])
      isEndless = false
      await jobs.retry(job.job_id)
      await queues.take('s')
      expect(await inState(jobs, job.job_id, 'succeeded')).toMatchObject({ attempt: 2 })
    })

    it('of twenty requests with one key at once are one job', async () => {
      let runs = 0
      const { jobs, queues } = makeJobs({
        broker: makeBroker(),
        infer: async (input, options) => {
          runs += 1
          return await sentiment(input, options)
        },
      })
      await jobs.start()

      const submit = async (): Promise<{ readonly id: string; readonly isNew: boolean }> => {
        const request = { message: { text: 'good' }, success_queue: 's' }
        const { job, isNew } = await jobs.submit('m', request, { idempotencyKey: 'k' })
        return { id: job.job_id, isNew }
      }
      const all = await Promise.all(Array.from({ length: 20 }, submit))
      await queues.take('s')
      const { id } = all[0] ?? { id: '' }
      await ended(jobs, id)

      expect(id).toMatch(/^[0-9a-f]{32}$/)
      expect(new Set(all.map((one) => one.id)).size).toBe(1)
      expect(all.filter(({ isNew }) => isNew)).toHaveLength(1)
      expect(
        await jobs.submit('m', { message: { text: 'good' }, success_queue: 's' }, { idempotencyKey: 'k' }),
      ).toMatchObject({ isNew: false, job: { job_id: id, state: 'succeeded' } })
      expect(runs).toBe(1)
    })

    it('refuse a key that came with another request, and know it from that of another caller', async () => {
      const { jobs } = makeJobs({ broker: makeBroker(), executes: false })
      await jobs.start()
      const options = { idempotencyKey: 'k', caller: 'a' }
      const first = await jobs.submit('m', { message: { a: 1, b: 2 } }, options)
      const same = await jobs.submit('m', { message: { b: 2, a: 1 } }, options)
      const other = await jobs.submit('m', { message: 3 }, { idempotencyKey: 'k', caller: 'b' })

      expect(same.job.job_id).toBe(first.job.job_id)
      expect(other.job.job_id).not.toBe(first.job.job_id)
      await expect(jobs.submit('m', { message: 3 }, options)).rejects.toMatchObject({ code: 'KIQ_SERVE_KEY_REUSED' })
    })

    it('wait while the model is busy, and are executed when it no longer is', async () => {
      let busy = 3
      const { jobs } = makeJobs({
        broker: makeBroker(),
        infer: async (input, options) => {
          busy -= 1
          if (busy >= 0) throw new KiqError('KIQ_SERVE_BUSY', 'full')
          return await sentiment(input, options)
        },
      })
      await jobs.start()

      const { job } = await jobs.submit('m', { message: { text: 'good' } })

      expect(await ended(jobs, job.job_id)).toMatchObject({ state: 'succeeded', attempt: 1 })
    })

    it('fail when the model stays busy, or hangs, for longer than an execution may take', async () => {
      const { jobs, queues } = makeJobs({
        broker: makeBroker(),
        timeoutMs: 150,
        infer: async (input) => {
          if (input === 'busy') throw new KiqError('KIQ_SERVE_BUSY', 'full')
          return await new Promise<never>(() => {})
        },
      })
      await jobs.start()

      const error = 'The model was not done within its time.'
      for (const message of ['busy', 'hangs']) {
        const { job } = await jobs.submit('m', { message, failure_queue: 'f' })
        expect(await ended(jobs, job.job_id)).toMatchObject({ state: 'failed', error, attempt: 1 })
        expect(await queues.take('f')).toMatchObject({ status: 'error', error, original_message: { message } })
      }
    })

    it('succeed although their queue fails, and say so', async () => {
      const sender = new QueueSender({
        backend: { sendMessage: () => Promise.reject(new Error('no route to 10.1.2.3')) },
        attempts: 2,
        backoff: { baseMs: 1, maxMs: 1 },
        logger: silentLogger,
      })
      const { jobs } = makeJobs({ broker: makeBroker(), sender })
      await jobs.start()

      const { job } = await jobs.submit('m', { message: { text: 'good' }, success_queue: 's' })

      const done = await ended(jobs, job.job_id)
      expect(done).toMatchObject({ state: 'succeeded', queue: { name: 's', state: 'failed', attempts: 2 } })
      expect(done.queue?.error).toContain(`under job ${job.job_id}`)
      expect(JSON.stringify(done)).not.toContain('10.1.2.3')
    })

    it('that a model which stops does not take go back to their queue, without an attempt', async () => {
      let isStopping = true
      const { jobs } = makeJobs({
        broker: makeBroker(),
        infer: async (input, options) => {
          if (isStopping) {
            isStopping = false
            throw new KiqError('KIQ_SERVE_STOPPING', 'not now')
          }
          return await sentiment(input, options)
        },
      })
      await jobs.start()

      const { job } = await jobs.submit('m', { message: { text: 'good' } })

      expect(await ended(jobs, job.job_id)).toMatchObject({ state: 'succeeded', attempt: 1 })
    })
  })
}
