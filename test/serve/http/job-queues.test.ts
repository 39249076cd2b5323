import { describe, expect, it } from 'vitest'

import type { QueueBackend } from '../../../src/serve/index.ts'
import { serveJobs } from './job-kit.ts'

const IN_TIME = { timeout: '10s' } as const
const isoText = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string
const queues = { success_queue: 's', failure_queue: 'f' }

describe('the message of a job', () => {
  it('is its output with the meta of the request, on the success queue', async () => {
    const { submit, inState, queues: backend } = await serveJobs()
    const meta = { user_id: '12345', deep: { list: [1, 'ü'] } }

    const id = await submit({ message: { text: 'hi' }, ...queues, meta })

    const message = await backend.take('s', IN_TIME)
    expect(message).toEqual({ status: 'success', meta, shout: 'HI', length: 2, job_id: id, timestamp: isoText })
    expect(Object.keys(message as object)).toEqual(['status', 'meta', 'shout', 'length', 'job_id', 'timestamp'])
    const job = await inState(id, 'succeeded')
    expect(job).toMatchObject({ queue: { name: 's', state: 'sent', attempts: 1, error: null } })
    expect(message).toMatchObject({ timestamp: job.finished_at })
    await expect(backend.take('f', { timeout: 1 })).rejects.toThrow()
  })

  it('goes to the failure queue with the request when the output has another status', async () => {
    const { submit, inState, queues: backend } = await serveJobs()
    const request = { message: { text: 'bad' }, ...queues, meta: { k: 1 } }

    const id = await submit(request)

    const message = await backend.take('f', IN_TIME)
    expect(message).toEqual({
      status: 'refused',
      error: 'cannot shout this',
      meta: { k: 1 },
      original_message: request,
      job_id: id,
      timestamp: isoText,
    })
    expect(await inState(id, 'failed')).toMatchObject({ queue: { name: 'f', state: 'sent' } })
    await expect(backend.take('s', { timeout: 1 })).rejects.toThrow()
  })

  it('has the meta in the request alone when a stage threw, and nothing of the error', async () => {
    const { submit, inState, queues: backend } = await serveJobs()
    const request = { message: { text: 'throw' }, ...queues, meta: { k: 1 } }

    const id = await submit(request)

    expect(await backend.take('f', IN_TIME)).toEqual({
      status: 'error',
      error: `The model failed for this input. The log of the service has the cause, under job ${id}.`,
      meta: {},
      original_message: request,
      job_id: id,
      timestamp: isoText,
    })
    expect(await inState(id, 'failed')).toMatchObject({ queue: { name: 'f', state: 'sent' } })
  })

  it('fills in what the request has left out', async () => {
    const { submit, queues: backend } = await serveJobs()

    await submit({ message: { text: 'bad' }, failure_queue: 'f', success_queue: null, meta: null })

    expect(await backend.take('f', IN_TIME)).toMatchObject({
      meta: {},
      original_message: { message: { text: 'bad' }, success_queue: '', failure_queue: 'f', meta: {} },
    })
  })

  it.each([
    ['hi', 'succeeded', { failure_queue: 'f' }],
    ['bad', 'failed', { success_queue: 's' }],
    ['throw', 'failed', { success_queue: 's', failure_queue: '' }],
  ])('is not sent where no queue is named for its outcome: %s', async (text, state, named) => {
    const { submit, inState, queues: backend } = await serveJobs()

    const id = await submit({ message: { text }, ...named })

    expect(await inState(id, state)).toMatchObject({ queue: null })
    for (const name of ['s', 'f']) await expect(backend.take(name, { timeout: 1 })).rejects.toThrow()
  })

  it('is the input as it was sent, and not what the schema made of it', async () => {
    const { submit, queues: backend } = await serveJobs()
    const message = { text: 'bad', further: { kept: true } }

    await submit({ message, failure_queue: 'f' })

    expect(await backend.take('f', IN_TIME)).toMatchObject({ original_message: { message } })
  })

  it('keeps meta whose keys are those of objects', async () => {
    const { submit, queues: backend } = await serveJobs()
    const meta = JSON.parse('{"__proto__":{"polluted":true},"constructor":1,"toString":"x"}') as object

    await submit({ message: { text: 'hi' }, success_queue: 's', meta })

    const taken = (await backend.take('s', IN_TIME)) as { readonly meta: object }
    expect(JSON.stringify(taken.meta)).toBe(JSON.stringify(meta))
    expect(({} as { readonly polluted?: boolean }).polluted).toBeUndefined()
  })
})

describe('a queue that fails', () => {
  it('is tried again, and costs the job nothing', async () => {
    let calls = 0
    const queueBackend: QueueBackend = {
      sendMessage: () => {
        calls += 1
        if (calls === 1) throw new Error('connection refused at 10.0.0.7')
        return Promise.resolve(calls === 3)
      },
    }
    const { submit, inState, metrics } = await serveJobs({ service: { queueBackend } })

    const id = await submit({ message: { text: 'hi' }, success_queue: 's' })

    expect(await inState(id, 'succeeded')).toMatchObject({
      queue: { name: 's', state: 'sent', attempts: 3, error: null },
    })
    expect(await metrics()).toContain('kiq_serve_queue_messages_total{queue="s",state="sent"} 1')
  })

  it('leaves the job succeeded and says so: in the job, the log and the metrics', async () => {
    const queueBackend: QueueBackend = {
      sendMessage: () => Promise.reject(new Error('connection refused at 10.0.0.7')),
    }
    const { submit, inState, metrics, logger } = await serveJobs({ service: { queueBackend } })

    const id = await submit({ message: { text: 'hi' }, success_queue: 's' })

    const job = await inState(id, 'succeeded')
    expect(job).toMatchObject({
      result: { status: 'success', shout: 'HI' },
      queue: { name: 's', state: 'failed', attempts: 5, error: expect.stringContaining(id) as string },
    })
    expect(JSON.stringify(job)).not.toContain('10.0.0.7')
    expect(await metrics()).toContain('kiq_serve_queue_messages_total{queue="s",state="failed"} 1')
    expect(logger.lines).toContainEqual(
      expect.objectContaining({ level: 'error', fields: expect.objectContaining({ job: id, queue: 's' }) as object }),
    )
  }, 30_000)

  it('does not hold up other jobs', async () => {
    const queueBackend: QueueBackend = {
      sendMessage: async (name) => (name === 'broken' ? await new Promise<boolean>(() => {}) : true),
    }
    const { submit, inState } = await serveJobs({ service: { queueBackend } })

    const stuck = await submit({ message: { text: 'a' }, success_queue: 'broken' })
    await inState(stuck, 'running')
    const next = await submit({ message: { text: 'b' }, success_queue: 'fine' })

    expect(await inState(next, 'succeeded')).toMatchObject({ queue: { state: 'sent' } })
  })
})

describe('the metrics of a service with jobs', () => {
  it('count jobs by state and messages by queue, and escape names that callers chose', async () => {
    const { submit, inState, metrics } = await serveJobs()
    const name = 'a"b\\c\nd'

    await inState(await submit({ message: { text: 'hi' }, success_queue: name }), 'succeeded')
    await inState(await submit({ message: { text: 'bad' }, failure_queue: 'f' }), 'failed')

    const text = await metrics()
    expect(text).toContain('kiq_serve_queue_messages_total{queue="a\\"b\\\\c\\nd",state="sent"} 1')
    expect(text).toContain('kiq_serve_queue_messages_total{queue="f",state="sent"} 1')
    expect(text).toMatch(/kiq_serve_jobs_total\{[^}]*state="succeeded"[^}]*\} 1/)
    expect(text).toMatch(/kiq_serve_jobs_total\{[^}]*state="failed"[^}]*\} 1/)
  })
})
