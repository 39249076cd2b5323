import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { describe, expect, it, onTestFinished } from 'vitest'

import { silentLogger } from '../../../src/index.ts'
import type { Broker } from '../../../src/index.ts'
import type { Job, Jobs } from '../../../src/serve/jobs/index.ts'
import { WebhookSender } from '../../../src/serve/jobs/webhook.ts'
import { until } from '../../../src/testing/until.ts'
import type { Kit, KitOptions } from './kit.ts'
import { ended, endless, inState, sentiment, startJobs } from './kit.ts'

interface Call {
  readonly headers: IncomingHttpHeaders
  readonly body: { readonly type: string; readonly timestamp: string; readonly data: Job }
}

interface Receiver {
  readonly url: string
  readonly calls: readonly Call[]
}

/** A server that answers as it is told, with the number of the call; it may not answer at all. */
export async function receiver(answer: (response: ServerResponse, call: number) => unknown): Promise<Receiver> {
  const calls: Call[] = []
  const server = createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    request.on('end', () => {
      calls.push({ headers: request.headers, body: JSON.parse(text) as Call['body'] })
      answer(response, calls.length)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, calls }
}

function withWebhooks(options: KitOptions = {}): KitOptions {
  const webhooks = new WebhookSender({ logger: silentLogger, timeoutMs: 300 })
  return { webhooks, webhookBackoff: { baseMs: 20, maxMs: 40 }, ...options }
}

export async function start(options: KitOptions): Promise<Kit> {
  return await startJobs(withWebhooks(options))
}

export async function webhookIn(jobs: Jobs, id: string, state: 'delivered' | 'failed'): Promise<Job['webhook']> {
  return await until(
    async () => {
      const job = await jobs.get(id)
      return job?.webhook?.state === state ? job.webhook : undefined
    },
    { timeoutMs: 15_000 },
  )
}

/** What webhooks do on every engine. */
export function webhooksSuite(name: string, makeBroker: () => Broker): void {
  describe(`webhooks of jobs ${name}`, () => {
    it.each([
      ['good', 'succeeded'],
      ['bad', 'failed'],
      ['poison', 'failed'],
    ])('tell of the end of the job, which can be asked for by then: %s', async (text, state) => {
      const { jobs } = await start({ broker: makeBroker() })
      const seen: (Job | undefined)[] = []
      const { url, calls } = await receiver((response) => {
        void jobs.get(calls[0]?.body.data.job_id ?? '').then((job) => {
          seen.push(job)
          response.end()
        })
      })

      const { job } = await jobs.submit('m', { message: { text }, webhook: { url } })
      const webhook = await webhookIn(jobs, job.job_id, 'delivered')

      expect(job.webhook).toEqual({ url, state: 'pending', attempts: 0, error: null })
      expect(webhook).toEqual({ url, state: 'delivered', attempts: 1, error: null })
      expect(calls).toHaveLength(1)
      expect(calls[0]?.headers['webhook-id']).toBe(`${job.job_id}.webhook`)
      expect(calls[0]?.body).toEqual({ type: `job.${state}`, timestamp: seen[0]?.finished_at, data: seen[0] })
      expect(seen[0]?.state).toBe(state)
    })

    it('are sent again after failures, with the same id', async () => {
      const outcomes: string[] = []
      const { jobs } = await start({ broker: makeBroker(), onWebhook: (outcome) => void outcomes.push(outcome) })
      const { url, calls } = await receiver((response, call) => response.writeHead(call <= 3 ? 500 : 200).end())

      const { job } = await jobs.submit('m', { message: { text: 'good' }, webhook: { url } })

      expect(await webhookIn(jobs, job.job_id, 'delivered')).toMatchObject({ attempts: 4, error: null })
      expect(new Set(calls.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
      expect(new Set(calls.map(({ body }) => body.timestamp)).size).toBe(1)
      expect(outcomes).toEqual(['again', 'again', 'again', 'delivered'])
    })

    it('are given up when the server says that it wants none', async () => {
      const { jobs } = await start({ broker: makeBroker() })
      const { url, calls } = await receiver((response) => response.writeHead(410).end())

      const { job } = await jobs.submit('m', { message: { text: 'good' }, webhook: { url } })

      expect(await webhookIn(jobs, job.job_id, 'failed')).toMatchObject({
        attempts: 1,
        error: expect.any(String) as unknown,
      })
      expect(calls).toHaveLength(1)
      expect(await jobs.get(job.job_id)).toMatchObject({ state: 'succeeded' })
    })

    it('are given up after twelve attempts at a server that refuses', async () => {
      const { jobs } = await start({ broker: makeBroker(), webhookBackoff: { baseMs: 1, maxMs: 2 } })
      const server = createServer()
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
      server.close()
      await once(server, 'close')

      const { job } = await jobs.submit('m', { message: { text: 'good' }, webhook: { url } })

      expect(await webhookIn(jobs, job.job_id, 'failed')).toMatchObject({ attempts: 12 })
    })

    it('tell of a job that was cancelled, queued or running', async () => {
      const { jobs } = await start({ broker: makeBroker(), infer: endless, concurrency: 1 })
      const { url, calls } = await receiver((response) => response.end())
      const running = await jobs.submit('m', { message: 1, webhook: { url } })
      await inState(jobs, running.job.job_id, 'running')
      const queued = await jobs.submit('m', { message: 2, webhook: { url } })

      await jobs.cancel(queued.job.job_id)
      await webhookIn(jobs, queued.job.job_id, 'delivered')
      await jobs.cancel(running.job.job_id)
      await webhookIn(jobs, running.job.job_id, 'delivered')

      expect(calls.map(({ body }) => [body.type, body.data.job_id])).toEqual([
        ['job.cancelled', queued.job.job_id],
        ['job.cancelled', running.job.job_id],
      ])
    })

    it('tell of each end of a job that is sent again, under ids of their own', async () => {
      let isBroken = true
      const { jobs } = await start({
        broker: makeBroker(),
        infer: async (input, options) => {
          if (isBroken) throw new Error('not yet')
          return await sentiment(input, options)
        },
      })
      const { url, calls } = await receiver((response) => response.end())
      const { job } = await jobs.submit('m', { message: { text: 'good' }, webhook: { url } })
      await webhookIn(jobs, job.job_id, 'delivered')
      isBroken = false

      await jobs.retry(job.job_id)
      await inState(jobs, job.job_id, 'succeeded')
      await webhookIn(jobs, job.job_id, 'delivered')

      expect(calls.map(({ headers, body }) => [headers['webhook-id'], body.type])).toEqual([
        [`${job.job_id}.webhook`, 'job.failed'],
        [`${job.job_id}.webhook.1`, 'job.succeeded'],
      ])
    })

    it('to servers that hang leave the slots of jobs free', async () => {
      const { jobs } = await start({ broker: makeBroker(), concurrency: 1 })
      const { url } = await receiver(() => undefined)
      const hanging = await Promise.all(
        Array.from({ length: 20 }, () => jobs.submit('m', { message: { text: 'good' }, webhook: { url } })),
      )
      await Promise.all(hanging.map(({ job }) => ended(jobs, job.job_id)))

      const { job } = await jobs.submit('m', { message: { text: 'good' } })

      expect(await ended(jobs, job.job_id)).toMatchObject({ state: 'succeeded' })
      expect((await jobs.get(hanging[19]?.job.job_id ?? ''))?.webhook?.state).toBe('pending')
    })
  })
}
