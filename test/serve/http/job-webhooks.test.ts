import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { describe, expect, it, onTestFinished } from 'vitest'

import { verifyWebhook } from '../../../src/serve/index.ts'
import { until } from '../../../src/testing/until.ts'
import { held, serveJobs, SOON } from './job-kit.ts'
import type { JobJson } from './job-kit.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

interface Received {
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly data: JobJson
  readonly type: string
}

interface Receiver {
  readonly url: string
  readonly requests: readonly Received[]
}

/** A server that keeps what it gets, until the test ends. */
async function receiver(
  answer: (response: ServerResponse, count: number) => void = (response) => response.writeHead(204).end(),
): Promise<Receiver> {
  const requests: Received[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8')
      requests.push({ headers: request.headers, body, ...(JSON.parse(body) as Pick<Received, 'data' | 'type'>) })
      answer(response, requests.length)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, requests }
}

describe('the webhook of a job', () => {
  it('brings the job as it is known by its id, signed', async () => {
    const { url, requests } = await receiver()
    const kit = await serveJobs({ settings: { asyncConfig: { webhookSecret: SECRET } } })

    const id = await kit.submit({ message: { text: 'hi' }, meta: { n: 1 }, webhook: { url } })

    const job = await until(async () => {
      const { body } = await kit.get(`/jobs/${id}`)
      return (body as JobJson).webhook?.state === 'delivered' ? (body as JobJson) : undefined
    }, SOON)
    expect(job).toMatchObject({ state: 'succeeded', webhook: { url, attempts: 1, error: null } })
    const [request, ...others] = requests
    expect(others).toEqual([])
    expect(request).toMatchObject({
      type: 'job.succeeded',
      headers: { 'content-type': 'application/json' },
      data: { job_id: id, state: 'succeeded', meta: { n: 1 }, result: { status: 'success', shout: 'HI' } },
    })
    const { headers = {}, body = '' } = request ?? {}
    expect(verifyWebhook({ secret: SECRET, headers, body })).toBe(true)
    expect(verifyWebhook({ secret: SECRET, headers, body: body.replace('HI', 'HO') })).toBe(false)
    expect(verifyWebhook({ secret: 'whsec_b3RoZXI=', headers, body })).toBe(false)
    expect(await kit.metrics()).toContain('kiq_serve_webhooks_total{outcome="delivered"} 1')
  })

  it('is not signed without a secret', async () => {
    const { url, requests } = await receiver()
    const kit = await serveJobs()

    await kit.submit({ message: { text: 'hi' }, webhook: { url } })

    await until(() => requests.length === 1, SOON)
    expect(requests[0]?.headers).not.toHaveProperty('webhook-signature')
  })

  it('tells of failures and cancellations, too', async () => {
    const { url, requests } = await receiver()
    const kit = await serveJobs({ settings: { batchConfig: { maxBatchSize: 1 } } })
    const failed = await kit.submit({ message: { text: 'throw' }, webhook: { url } })
    await kit.inState(failed, 'failed')
    held(kit)
    const running = await kit.submit({ message: { text: 'a' }, webhook: { url } })
    await kit.inState(running, 'running')
    await kit.send('DELETE', `/jobs/${running}`)

    await until(() => requests.length === 2, SOON)
    expect(requests.map(({ type, data }) => [type, data.job_id, data.state]).toSorted()).toEqual(
      [
        ['job.failed', failed, 'failed'],
        ['job.cancelled', running, 'cancelled'],
      ].toSorted(),
    )
    expect(JSON.stringify(requests)).not.toContain('secret/path')
  })

  it('comes again under the same id when its receiver fails, while the job has long succeeded', async () => {
    const { url, requests } = await receiver((response, count) => response.writeHead(count === 1 ? 500 : 200).end())
    const kit = await serveJobs({ settings: { asyncConfig: { webhookSecret: SECRET } } })

    const id = await kit.submit({ message: { text: 'hi' }, webhook: { url } })

    await kit.inState(id, 'succeeded')
    await until(async () => ((await kit.get(`/jobs/${id}`)).body as JobJson).webhook?.state === 'delivered', SOON)
    expect(requests).toHaveLength(2)
    expect(new Set(requests.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
    expect(requests.every(({ headers, body }) => verifyWebhook({ secret: SECRET, headers, body }))).toBe(true)
    expect((await kit.get(`/jobs/${id}`)).body).toMatchObject({ webhook: { attempts: 2, error: null } })
  }, 20_000)

  it('is given up for good when its receiver refuses it', async () => {
    const { url, requests } = await receiver((response) => response.writeHead(410).end())
    const kit = await serveJobs()

    const id = await kit.submit({ message: { text: 'hi' }, webhook: { url } })

    await until(async () => ((await kit.get(`/jobs/${id}`)).body as JobJson).webhook?.state === 'failed', SOON)
    expect((await kit.get(`/jobs/${id}`)).body).toMatchObject({
      state: 'succeeded',
      webhook: { attempts: 1, error: 'The server answered 410.' },
    })
    expect(requests).toHaveLength(1)
  })

  it.each([
    ['http://evil.example.com/', 'evil.example.com'],
    ['http://hooks.example.com.evil.org/', 'evil.org'],
    ['http://hooks.example.com@evil.org/', 'user name'],
    ['http://127.0.0.1:1/', '127.0.0.1'],
    ['http://[::ffff:127.0.0.1]/', 'allowed'],
    ['file:///etc/passwd', 'http'],
    ['javascript:alert(1)', 'http'],
    ['/relative', 'absolute'],
    ['', 'absolute'],
  ])('is refused for a host that is not allowed, before the job is accepted: %s', async (url, detail) => {
    const { post, script } = await serveJobs({ settings: { asyncConfig: { webhookHosts: ['hooks.example.com'] } } })

    const answer = await post('/predict_async', { message: { text: 'hi' }, webhook: { url } })

    expect(answer).toMatchObject({
      status: 422,
      body: { code: 'KIQ_ARGUMENTS_INVALID', detail: expect.stringContaining(detail) as string },
    })
    expect(script.batches).toEqual([])
  })

  it('goes to a host that is allowed', async () => {
    const { url, requests } = await receiver()
    const kit = await serveJobs({ settings: { asyncConfig: { webhookHosts: ['127.0.0.1'] } } })

    await kit.submit({ message: { text: 'hi' }, webhook: { url } })

    await until(() => requests.length === 1, SOON)
  })
})
