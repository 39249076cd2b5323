import { describe, expect, it } from 'vitest'
import { z } from 'zod'

import { InferencePipeline } from '../../../src/serve/index.ts'
import { until } from '../../../src/testing/until.ts'
import { idOf, serveJobs, SOON } from './job-kit.ts'
import { KEY, serveShouting } from './kit.ts'
import { openRaw, rawRequest } from './raw.ts'

const deep = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)

/** Takes and gives anything. */
class Echo extends InferencePipeline<unknown, { readonly echo: unknown }> {
  override preprocess(inputs: readonly unknown[]): readonly unknown[] {
    return inputs
  }

  override predict(inputs: readonly unknown[]): readonly unknown[] {
    return inputs
  }

  override postprocess(inputs: readonly unknown[]) {
    return inputs.map((echo) => ({ status: 'success' as const, echo }))
  }
}

const anything = { service: { pipeline: Echo as never, input: z.unknown() as never, output: undefined } }

describe('JSON that is nested too deeply', () => {
  it.each([5_000, 1_000_000])('is refused everywhere: %i', async (depth) => {
    const { send, logger } = await serveShouting(anything)
    const bodies = [
      ['/predict_sync', deep(depth)],
      ['/predict_batch', `[1,${deep(depth)}]`],
      ['/predict_async', `{"message":${deep(depth)}}`],
      ['/predict_async', `{"message":1,"meta":{"a":${deep(depth)}}}`],
    ] as const

    for (const [path, body] of bodies) {
      const response = await send('POST', path, { body, headers: { 'content-type': 'application/json' } })
      expect([400, 422]).toContain(response.status)
      await response.body?.cancel()
    }
    expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([])
  })
})

describe('a body that does not come', () => {
  it.each(['/predict_sync', '/predict_batch', '/predict_async', '/v2/models/shout/infer'])(
    'is given up with the time of its request: %s',
    async (path) => {
      const { url } = await serveShouting({ settings: { httpConfig: { requestTimeout: 0.2 } } })

      const raw = openRaw(url, rawRequest(`POST ${path}`, { body: '{"text":"hi"}' }).slice(0, -5))

      expect([408, 504]).toContain((await raw.answered(1))[0])
      await raw.closed()
    },
  )

  it('because its client has gone is no error of the service', async () => {
    const { url, logger, get } = await serveShouting()
    const raw = openRaw(url, rawRequest('POST /predict_sync', { body: '{"text":"hi"}' }).slice(0, -5))
    const inProgress = async (count: number): Promise<boolean> =>
      String((await get('/metrics')).body).includes(`kiq_serve_requests_in_progress{route="/predict_sync"} ${count}`)
    await until(async () => await inProgress(1), SOON)

    raw.socket.destroy()

    await until(async () => await inProgress(0), SOON)
    expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([])
  })
})

describe('a method that a path does not have', () => {
  it.each([
    ['PUT', '/predict_sync'],
    ['GET', '/predict_sync'],
    ['POST', '/jobs/x'],
    ['DELETE', '/health/live'],
  ])('is answered 405: %s %s', async (method, path) => {
    const { send } = await serveShouting()

    const response = await send(method, path)

    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toMatch(/[A-Z]/)
  })
})

describe('a request', () => {
  it.each(['constructor', '__proto__', 'toString', 'valueOf'])(
    'that accepts %s is answered with JSON',
    async (accept) => {
      const { post } = await serveShouting()

      const { headers } = await post('/predict_sync', { text: 'hi' }, { accept })

      expect(headers.get('content-type')).toMatch(/^application\/json/)
    },
  )

  it('with a queue of a very long name is refused', async () => {
    const { post } = await serveJobs()

    for (const field of ['success_queue', 'failure_queue']) {
      expect(await post('/predict_async', { message: { text: 'a' }, [field]: 'q'.repeat(10_000) })).toMatchObject({
        status: 422,
        body: { detail: expect.stringContaining(field) as string },
      })
    }
  })

  it('for an unknown model with a very long name is answered with a short text', async () => {
    const { post } = await serveShouting()

    const { body } = await post(`/models/${'x'.repeat(5_000)}/predict_sync`, { text: 'a' })

    expect(JSON.stringify(body).length).toBeLessThan(1_000)
  })
})

describe('followers of a job that do not read', () => {
  it('do not keep the service from closing', async () => {
    const kit = await serveJobs()
    const big = 'x'.repeat(4_000_000)
    const id = idOf(await kit.post('/predict_async', { message: { text: big } }))
    await kit.inState(id, 'succeeded')
    for (let n = 0; n < 3; n += 1) openRaw(kit.url, rawRequest(`GET /jobs/${id}/events`)).socket.pause()
    const open = async (): Promise<boolean> =>
      String((await kit.get('/metrics')).body).includes(`route="/jobs/{id}/events"`)
    await until(open, SOON)

    const began = performance.now()
    await kit.server.close({ timeout: '15s' })

    expect(performance.now() - began).toBeLessThan(8_000)
  }, 30_000)

  it('are none when they ask by HEAD', async () => {
    const { submit, inState, url } = await serveJobs()
    const id = await submit({ message: { text: 'a' } })
    await inState(id, 'succeeded')

    const raw = openRaw(url, rawRequest(`HEAD /jobs/${id}/events`, { headers: [`x-api-key: ${KEY}`] }))

    const [status] = await raw.answered(1)
    expect([200, 405]).toContain(status)
  })
})
