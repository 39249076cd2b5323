import { Agent, request } from 'node:http'

import { describe, expect, it, onTestFinished } from 'vitest'

import { InferencePipeline } from '../../../src/serve/index.ts'
import type { PipelineOutput, PipelineRun } from '../../../src/serve/index.ts'
import { until } from '../../../src/testing/until.ts'
import { idOf, serveJobs, SOON } from './job-kit.ts'
import type { JobsKit } from './job-kit.ts'
import { KEY, serveShouting } from './kit.ts'
import type { TextInput, TextOutput } from './kit.ts'
import { openRaw, rawRequest } from './raw.ts'

const GOOD = rawRequest('POST /predict_sync', { body: '{"text":"hi"}' })

describe('a connection', () => {
  it('answers requests that come at once in their order', async () => {
    const { url } = await serveShouting()

    const raw = openRaw(url, GOOD + GOOD.replace('/predict_sync', '/nothing') + GOOD)

    expect(await raw.answered(3)).toEqual([200, 404, 200])
  })

  it.each([
    ['401', rawRequest('POST /predict_sync', { headers: [], body: '{"text":"hi"}' })],
    ['404', rawRequest('POST /nothing', { body: '{"text":"hi"}' })],
    ['415', rawRequest('POST /predict_sync', { body: 'x' }).replace('application/json', 'text/plain')],
    ['400', rawRequest('POST /predict_sync', { body: '{"text":' })],
    [
      '400',
      rawRequest('POST /predict_sync?', { headers: [`x-api-key: ${KEY}`, 'x-request-timeout: soon'], body: '{}' }),
    ],
  ])('goes on after %s, whose body nobody has read', async (status, refused) => {
    const { url } = await serveShouting()

    const raw = openRaw(url, refused + GOOD)

    expect(await raw.answered(2)).toEqual([Number(status), 200])
  })

  it('is closed after 413, so that nobody has to read what is left', async () => {
    const { url } = await serveShouting({ settings: { httpConfig: { maxPayloadBytes: 100 } } })

    const raw = openRaw(url, rawRequest('POST /predict_sync', { body: `{"text":"${'x'.repeat(100_000)}"}` }))

    expect(await raw.answered(1)).toEqual([413])
    await raw.closed()
  })

  it.each([
    ['two lengths', ['content-length: 2', 'content-length: 3']],
    ['a length and chunks', ['content-length: 2', 'transfer-encoding: chunked']],
    ['a length that is no number', ['content-length: two']],
    ['20,000 bytes of headers', [`x-filler: ${'x'.repeat(20_000)}`]],
  ])('that leaves open what its request is is closed: %s', async (_what, headers) => {
    const { url, script } = await serveShouting()
    const head = ['POST /predict_sync HTTP/1.1', 'host: test', `x-api-key: ${KEY}`, 'content-type: application/json']

    const raw = openRaw(url, [...head, ...headers, '', '{}'].join('\r\n'))

    const [status] = await raw.answered(1)
    expect(status).toBeGreaterThanOrEqual(400)
    await raw.closed()
    expect(script.batches).toEqual([])
  })

  it('gives back no id of a request that could be something else', async () => {
    const { url } = await serveShouting()
    const ids = ['a b', 'x'.repeat(129), 'ä', '']

    const raw = openRaw(url, ...ids.map((id) => rawRequest('GET /health/live', { headers: [`x-request-id: ${id}`] })))

    await raw.answered(ids.length)
    const given = [...raw.text().matchAll(/^x-request-id: (.*)$/gim)].map(([, id]) => id?.trim())
    expect(given).toHaveLength(ids.length)
    for (const id of given) expect(id).toMatch(/^[\da-f-]{36}$/)
  })
})

describe('a path', () => {
  it.each([
    '/%69nfo',
    '/health/live/../../info',
    '/health/live%2f..%2f..%2finfo',
    '/info/',
    '//info',
    '/INFO',
    '/info?/docs',
  ])('is no way around the key: %s', async (path) => {
    const { url } = await serveShouting()

    const raw = openRaw(url, rawRequest(`GET ${path}`, { headers: [] }))

    expect(await raw.answered(1)).toEqual([401])
  })

  it('may end with a slash', async () => {
    const { post, url } = await serveShouting()

    expect((await post('/predict_sync/', { text: 'hi' })).status).toBe(200)
    expect((await fetch(`${url}/health/live/`)).status).toBe(200)
  })

  it('names models with spaces, slashes and letters of any language', async () => {
    const { post } = await serveShouting({ models: ['a b/ü'] })

    for (const path of ['/models/a%20b%2F%C3%BC/predict_sync', '/predict_sync?model_name=a+b%2F%C3%BC']) {
      expect(await post(path, { text: 'hi' })).toMatchObject({ status: 200, body: { shout: 'HI' } })
    }
  })

  it.each([
    ['/models/__proto__/predict_sync', 404],
    ['/models/%E0%A4%A/predict_sync', 404],
    ['/models/%00/predict_sync', 404],
    ['/predict_sync?model_name=', 404],
    ['/predict_sync?model_name=nobody&model_name=shout', 404],
    ['/predict_sync?model_name=shout&model_name=nobody', 200],
    ['/models/shout/predict_sync?model_name=nobody', 200],
  ])('%s is answered %i', async (path, status) => {
    const { post } = await serveShouting({ models: ['other'] })

    expect((await post(path, { text: 'hi' })).status).toBe(status)
  })
})

describe('a thousand requests at once', () => {
  it('are all answered', async () => {
    const { url, script } = await serveShouting({ settings: { batchConfig: { maxBatchSize: 64 } } })
    const agent = new Agent({ maxSockets: 1_000 })
    onTestFinished(() => agent.destroy())

    const statuses = await Promise.all(
      Array.from({ length: 1_000 }, async (_, n) => await statusOf(agent, `${url}/predict_sync`, `${n}`)),
    )

    expect(statuses.filter((status) => status !== 200)).toEqual([])
    expect(script.batches.flat()).toHaveLength(1_000)
  })

  it('are refused beyond those that may wait, and the rest is answered', async () => {
    const { url, script } = await serveShouting({ settings: { batchConfig: { maxBatchSize: 4, maxQueueSize: 50 } } })
    const agent = new Agent({ maxSockets: 1_000 })
    onTestFinished(() => agent.destroy())

    const statuses = await Promise.all(
      Array.from({ length: 1_000 }, async (_, n) => await statusOf(agent, `${url}/predict_sync`, `${n}`)),
    )

    const answered = statuses.filter((status) => status === 200)
    expect(statuses.filter((status) => status !== 200 && status !== 429)).toEqual([])
    expect(answered.length).toBeGreaterThanOrEqual(50)
    expect(script.batches.flat()).toHaveLength(answered.length)
  })
})

describe('a client that does not read', () => {
  it('has the stream of its request given up', async () => {
    const { kit, told } = await serveFlood()

    openRaw(
      kit.url,
      rawRequest('POST /predict_sync', {
        headers: [`x-api-key: ${KEY}`, 'accept: text/event-stream'],
        body: '{"text":"100000"}',
      }),
    ).socket.pause()

    await until(() => told.aborts === 1, SOON)
    expect(told.outputs).toBeLessThan(100_000)
    expect(await kit.post('/predict_sync', { text: '1' })).toMatchObject({ status: 200 })
  })

  it('does not hold up the job that it follows', async () => {
    const { kit, told } = await serveFlood()
    const id = idOf(await kit.post('/predict_async', { message: { text: '30000' } }))

    const raw = openRaw(kit.url, rawRequest(`GET /jobs/${id}/events`))
    await raw.answered(1)
    raw.socket.pause()

    await kit.inState(id, 'succeeded')
    expect(told).toEqual({ outputs: 30_000, aborts: 0 })
  })
})

/** The status of a request with that text, or the code of what went wrong. */
async function statusOf(agent: Agent, url: string, text: string): Promise<number | string | undefined> {
  return await new Promise((resolve) => {
    const headers = { 'x-api-key': KEY, 'content-type': 'application/json' }
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode))
    })
    sent.once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    sent.end(JSON.stringify({ text }))
  })
}

interface Flood {
  readonly kit: JobsKit
  readonly told: { outputs: number; aborts: number }
}

/** Its pipeline yields as many outputs of 1,000 characters as the text says. */
async function serveFlood(): Promise<Flood> {
  const told = { outputs: 0, aborts: 0 }
  class Flooding extends InferencePipeline<TextInput, TextOutput> {
    override preprocess(inputs: readonly TextInput[]): number {
      return Number(inputs[0]?.text)
    }

    override async *predict(_inputs: readonly TextInput[], count: number, { signal }: PipelineRun) {
      signal.addEventListener('abort', () => (told.aborts += 1))
      for (; told.outputs < count && !signal.aborted; told.outputs += 1) {
        yield ['x'.repeat(1_000)]
        if (told.outputs % 100 === 0) await new Promise(setImmediate)
      }
      yield ['end']
    }

    override postprocess(
      _inputs: readonly TextInput[],
      texts: readonly string[],
    ): readonly PipelineOutput<TextOutput>[] {
      return texts.map((shout) => ({ status: 'success', shout, length: shout.length }))
    }
  }
  return { kit: await serveJobs({ service: { pipeline: Flooding } }), told }
}
