import { connect } from 'node:net'
import { once } from 'node:events'

import { describe, expect, it } from 'vitest'

import { until } from '../../../src/testing/until.ts'
import { deferred } from '../../support/deferred.ts'
import { answerOf, KEY, serveShouting } from './kit.ts'

const SECONDS = { timeoutMs: 10_000 }
const success = (shout: string) => ({ status: 'success', error: null, meta: {}, shout, length: shout.length })

describe('a synchronous request', () => {
  it('is answered with the output of the pipeline in an envelope', async () => {
    const { post } = await serveShouting()

    const answer = await post('/predict_sync', { text: 'hi' })

    expect(answer).toMatchObject({ status: 200, body: success('HI') })
    expect(Object.keys(answer.body as object)).toEqual(['status', 'error', 'meta', 'shout', 'length'])
  })

  it('shares batches with others that come meanwhile', async () => {
    const { post, script } = await serveShouting({ settings: { batchConfig: { maxBatchSize: 3, waitMs: 10_000 } } })

    await Promise.all(['a', 'b', 'c'].map(async (text) => await post('/predict_sync', { text })))

    expect(script.batches.map((batch) => batch.toSorted())).toEqual([['a', 'b', 'c']])
  })

  it('has the status of its output in the envelope, and 200', async () => {
    const { post } = await serveShouting()

    expect(await post('/predict_sync', { text: 'bad' })).toMatchObject({
      status: 200,
      body: { status: 'refused', error: 'cannot shout this', meta: {} },
    })
  })

  it('is refused with the paths of what does not fit', async () => {
    const { post, script } = await serveShouting()

    const answer = await post('/predict_sync', { text: '' })

    expect(answer.status).toBe(422)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(answer.body).toMatchObject({
      title: 'Unprocessable Entity',
      status: 422,
      code: 'KIQ_ARGUMENTS_INVALID',
      errors: [{ path: 'text', message: expect.stringContaining('>=1 characters') as string }],
    })
    expect(script.batches).toEqual([])
  })

  it.each([
    ['{"text":', 'application/json', 400, 'The body is not JSON'],
    ['', 'application/json', 400, 'The body is not JSON'],
    ['text=hi', 'application/x-www-form-urlencoded', 415, 'Send `content-type: application/json`'],
    [`{"text":"${'x'.repeat(200)}"}`, 'application/json', 413, 'more than 100 bytes'],
  ])('is refused with body %j as %s', async (body, type, status, detail) => {
    const { send } = await serveShouting({ settings: { httpConfig: { maxPayloadBytes: 100 } } })

    const response = await send('POST', '/predict_sync', { body, headers: { 'content-type': type } })

    expect(await answerOf(response)).toMatchObject({
      status,
      body: { status, detail: expect.stringContaining(detail) as string },
    })
  })

  it('is refused when its body has no length and turns out too large', async () => {
    const { send, post } = await serveShouting({ settings: { httpConfig: { maxPayloadBytes: 100 } } })
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(`{"text":"${'x'.repeat(80)}`))
        controller.enqueue(new TextEncoder().encode(`${'x'.repeat(80)}"}`))
        controller.close()
      },
    })

    const init = { body, duplex: 'half', headers: { 'content-type': 'application/json' } } as RequestInit
    const response = await send('POST', '/predict_sync', init)

    expect(response.status).toBe(413)
    await response.body?.cancel()
    expect(await post('/predict_sync', { text: 'next' })).toMatchObject({ status: 200 })
  })

  it('takes a body without length that fits', async () => {
    const { send } = await serveShouting()
    const body = new Blob(['{"text":"hi"}']).stream()

    const init = { body, duplex: 'half', headers: { 'content-type': 'application/json' } } as RequestInit

    expect(await answerOf(await send('POST', '/predict_sync', init))).toMatchObject({
      status: 200,
      body: success('HI'),
    })
  })

  it('tells nothing of an internal error, and logs it under the id of the request', async () => {
    const { post, logger, get } = await serveShouting()

    const answer = await post('/predict_sync', { text: 'throw' }, { 'x-request-id': 'r-1' })

    expect(answer).toMatchObject({
      status: 500,
      body: { detail: 'The model failed for this input. The log of the service has the cause, under request r-1.' },
    })
    expect(JSON.stringify(answer.body)).not.toContain('secret')
    expect(answer.headers.get('x-request-id')).toBe('r-1')
    expect((await get('/metrics')).body).toContain('kiq_serve_items_failed_total{model="shout",reason="error"} 1')
    expect(logger.lines).toContainEqual(
      expect.objectContaining({
        level: 'error',
        fields: expect.objectContaining({
          requestId: 'r-1',
          err: expect.objectContaining({ message: 'internal: /secret/path' }) as object,
        }) as object,
      }),
    )
  })

  it('fails when its output does not fit the schema', async () => {
    const { post, logger } = await serveShouting()

    expect((await post('/predict_sync', { text: 'wrong' })).status).toBe(500)
    expect(logger.lines.map(({ fields }) => (fields['err'] as Error | undefined)?.message)).toContainEqual(
      expect.stringMatching(/^An output of model "shout" does not fit its schema: shout: /),
    )
  })

  it('is answered 504 when it is not done in the time that it allows', async () => {
    const { post, script } = await serveShouting()
    const gate = deferred()
    script.gate = gate.promise

    const answer = await post('/predict_sync', { text: 'slow' }, { 'x-request-timeout': '0.05' })

    expect(answer).toMatchObject({ status: 504, body: { code: 'KIQ_SERVE_TIMED_OUT' } })
    gate.resolve()
    expect(script.aborts).toMatchObject([{ code: 'KIQ_SERVE_TIMED_OUT' }])
  })

  it('does not get more time than the service allows', async () => {
    const { post, script } = await serveShouting({ settings: { httpConfig: { requestTimeout: 0.05 } } })
    const gate = deferred()
    script.gate = gate.promise

    expect((await post('/predict_sync', { text: 'slow' }, { 'x-request-timeout': '60' })).status).toBe(504)
    gate.resolve()
  })

  it.each(['soon', '0', '-1', ''])('is refused with the time %j', async (time) => {
    const { post } = await serveShouting()

    expect((await post('/predict_sync', { text: 'hi' }, { 'x-request-timeout': time })).status).toBe(400)
  })

  it('is answered 429 with Retry-After when as many wait as may, and no earlier', async () => {
    const { post, script, get } = await serveShouting({
      settings: { batchConfig: { maxBatchSize: 1, maxQueueSize: 2 } },
    })
    const gate = deferred()
    script.gate = gate.promise
    const first = post('/predict_sync', { text: 'running' })
    await until(() => script.batches.length === 1, SECONDS)
    const waiting = ['w1', 'w2'].map(async (text) => await post('/predict_sync', { text }))
    await until(
      async () => String((await get('/metrics')).body).includes('kiq_serve_waiting_requests{model="shout"} 2'),
      SECONDS,
    )

    const refused = await post('/predict_sync', { text: 'w3' })

    expect(refused).toMatchObject({ status: 429, body: { code: 'KIQ_SERVE_BUSY' } })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    gate.resolve()
    expect((await Promise.all([first, ...waiting])).map(({ status }) => status)).toEqual([200, 200, 200])
  })
})

describe('a request that is not as it should be', () => {
  it.each(['constructor', '__proto__', 'toString, text/event-stream'])(
    'is answered as JSON, or as the first type that is known, for Accept: %s',
    async (accept) => {
      const { send } = await serveShouting()

      const headers = { 'content-type': 'application/json', accept }
      const response = await send('POST', '/predict_sync', { body: '{"text":"hi"}', headers })

      const type = accept.includes('event-stream') ? 'text/event-stream; charset=utf-8' : 'application/json'
      expect(response.headers.get('content-type')).toBe(type)
      await response.text()
    },
  )

  it.each(['/predict_sync', '/predict_async'])('is refused when it is nested too deeply: %s', async (path) => {
    const { send, logger } = await serveShouting()
    const deep = `${'['.repeat(5_000)}${']'.repeat(5_000)}`

    const headers = { 'content-type': 'application/json' }
    const response = await send('POST', path, { body: `{"message":${deep}}`, headers })

    expect(await answerOf(response)).toMatchObject({ status: 422, body: { code: 'KIQ_ARGUMENTS_INVALID' } })
    expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([])
  })

  it('may have any brackets in its texts', async () => {
    const { post } = await serveShouting()
    const text = `"\\${'['.repeat(500)}\\"{{{`

    expect(await post('/predict_sync', { text })).toMatchObject({ status: 200, body: { length: text.length } })
  })

  it('is refused with the methods that there are', async () => {
    const { send } = await serveShouting()

    for (const [method, path, allow] of [
      ['PUT', '/predict_sync', 'POST'],
      ['POST', '/jobs/1', 'GET, DELETE'],
      ['POST', '/health/live', 'GET'],
    ] as const) {
      const response = await send(method, path)
      expect([response.status, response.headers.get('allow')], path).toEqual([405, allow])
      await response.text()
    }
  })

  it('is refused when its body is encoded', async () => {
    const { send } = await serveShouting()

    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' }

    expect((await send('POST', '/predict_sync', { body: '{}', headers })).status).toBe(415)
  })

  it('is answered 408, and its connection closed, when its body does not come', async () => {
    const { url } = await serveShouting({ settings: { httpConfig: { requestTimeout: 0.1 } } })

    for (const path of ['/predict_sync', '/predict_batch', '/predict_async']) {
      expect(await rawAnswer(url, path, { length: 20, body: '{' })).toMatch(/^HTTP\/1\.1 408 /)
    }
  })

  it('is no error of ours when its client goes away in the middle of its body', async () => {
    const { url, logger } = await serveShouting()
    const { port } = new URL(url)
    const socket = connect(Number(port), '127.0.0.1')
    await once(socket, 'connect')
    socket.write(requestHead('/predict_sync', 20) + '{')
    await until(async () => (await metric(url, 'kiq_serve_requests_in_progress{route="/predict_sync"')) === 1, SECONDS)

    socket.destroy()

    await until(async () => (await metric(url, 'kiq_serve_requests_in_progress{route="/predict_sync"')) === 0, SECONDS)
    expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([])
  })
})

describe('the key of a request', () => {
  it.each([
    [{ authorization: `Bearer ${KEY}` }, 200],
    [{ authorization: `bearer ${KEY}` }, 200],
    [{ 'x-api-key': KEY }, 200],
    [{ authorization: 'Bearer wrong' }, 401],
    [{ 'x-api-key': '' }, 401],
    [{}, 401],
  ])('%j is answered with %i', async (headers, status) => {
    const { url } = await serveShouting()

    const response = await fetch(`${url}/predict_sync`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: '{"text":"hi"}',
    })

    expect(response.status).toBe(status)
    expect(response.headers.get('www-authenticate')).toBe(status === 401 ? 'Bearer' : null)
    expect(await response.text()).not.toContain(KEY)
  })

  it('is needed before a body is looked at', async () => {
    const { url } = await serveShouting()

    expect((await fetch(`${url}/predict_sync`, { method: 'POST', body: 'not json' })).status).toBe(401)
  })

  it('is not needed by a service that has none', async () => {
    const { url } = await serveShouting({ settings: { authConfig: { apiKeys: [] } } })

    expect((await fetch(`${url}/info`)).status).toBe(200)
  })
})

describe('the model of a request', () => {
  it('need not be named when there is one', async () => {
    const { post } = await serveShouting()

    for (const path of ['/predict_sync', '/predict_sync?model_name=shout', '/models/shout/predict_sync']) {
      expect(await post(path, { text: 'hi' })).toMatchObject({ status: 200 })
    }
  })

  it('is named by query or path where there are several', async () => {
    const { post } = await serveShouting({ models: ['other'] })

    expect((await post('/predict_sync?model_name=other', { text: 'hi' })).status).toBe(200)
    expect((await post('/models/other/predict_sync', { text: 'hi' })).status).toBe(200)
    expect(await post('/predict_sync', { text: 'hi' })).toMatchObject({
      status: 422,
      body: { detail: 'The request names no model. Add ?model_name= with one of shout, other.' },
    })
  })

  it('is answered 404 when it is not known, with the name that was probably meant', async () => {
    const { post } = await serveShouting()

    expect(await post('/models/shoot/predict_sync', { text: 'hi' })).toMatchObject({
      status: 404,
      body: {
        code: 'KIQ_SERVE_MODEL_UNKNOWN',
        detail: 'There is no model "shoot"; did you mean "shout"? Use one of: shout.',
      },
    })
  })
})

describe('a batch request', () => {
  it('is answered in order, and one that fails does not fail its neighbours', async () => {
    const { post } = await serveShouting({ settings: { batchConfig: { maxBatchSize: 8 } } })
    const texts = ['a', 'throw', 'b', 'bad']

    const answer = await post(
      '/predict_batch',
      texts.map((text) => ({ text })),
    )

    expect(answer).toMatchObject({
      status: 200,
      body: [
        success('A'),
        { status: 'error', meta: {} },
        success('B'),
        { status: 'refused', error: 'cannot shout this' },
      ],
    })
    expect(JSON.stringify(answer.body)).not.toContain('secret')
  })

  it('is refused with the positions of what does not fit, before anything runs', async () => {
    const { post, script } = await serveShouting()

    const answer = await post('/predict_batch', [{ text: 'a' }, { txt: 1 }, { text: '' }])

    expect(answer).toMatchObject({ status: 422, body: { errors: [{ path: '1.text' }, { path: '2.text' }] } })
    expect(script.batches).toEqual([])
  })

  it.each([[{}], [[]], [Array.from({ length: 1_001 }, () => ({ text: 'a' }))]])(
    'is refused when it is no list of 1 to 1,000',
    async (body) => {
      const { post } = await serveShouting()

      expect((await post('/predict_batch', body)).status).toBe(422)
    },
  )

  it('is refused as a whole when it is more than may wait', async () => {
    const { post } = await serveShouting({ settings: { batchConfig: { maxBatchSize: 1, maxQueueSize: 2 } } })

    expect(
      (
        await post(
          '/predict_batch',
          ['a', 'b', 'c', 'd', 'e'].map((text) => ({ text })),
        )
      ).status,
    ).toBe(429)
    expect((await post('/predict_sync', { text: 'after' })).status).toBe(200)
  })
})

describe('a client that goes away', () => {
  it('while its request waits takes it out of the queue', async () => {
    const { post, script, url } = await serveShouting({ settings: { batchConfig: { maxBatchSize: 1 } } })
    const gate = deferred()
    script.gate = gate.promise
    const first = post('/predict_sync', { text: 'first' })
    await until(() => script.batches.length === 1, SECONDS)
    await abandonedRequest(url, 'abandoned', async () => {
      await until(async () => (await metric(url, 'kiq_serve_waiting_requests')) === 1, SECONDS)
    })
    await until(async () => (await metric(url, 'kiq_serve_waiting_requests')) === 0, SECONDS)
    gate.resolve()

    expect((await first).status).toBe(200)
    expect((await post('/predict_sync', { text: 'last' })).status).toBe(200)
    expect(script.batches).toEqual([['first'], ['last']])
  })

  it('while its request runs has the batch given up when nobody else waits for it', async () => {
    const { script, url, logger } = await serveShouting()
    const gate = deferred()
    script.gate = gate.promise

    await abandonedRequest(url, 'abandoned', async () => {
      await until(() => script.batches.length === 1, SECONDS)
    })

    await until(() => script.aborts.length === 1, SECONDS)
    gate.resolve()
    expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([])
  })
})

/** Sends a request by hand, and closes the connection once `isThere` has resolved. */
async function abandonedRequest(url: string, text: string, isThere: () => Promise<void>): Promise<void> {
  const { port } = new URL(url)
  const body = JSON.stringify({ text })
  const socket = connect(Number(port), '127.0.0.1')
  await once(socket, 'connect')
  socket.write(requestHead('/predict_sync', Buffer.byteLength(body)) + body)
  await isThere()
  socket.destroy()
}

function requestHead(path: string, length: number): string {
  return (
    `POST ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${KEY}\r\ncontent-type: application/json\r\n` +
    `content-length: ${length}\r\n\r\n`
  )
}

/** What comes until the server closes the connection. */
async function rawAnswer(
  url: string,
  path: string,
  { length, body }: { readonly length: number; readonly body: string },
): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.write(requestHead(path, length) + body)
  let answer = ''
  socket.setEncoding('utf8').on('data', (text: string) => (answer += text))
  await once(socket, 'close')
  return answer
}

async function metric(url: string, name: string): Promise<number | undefined> {
  const text = await (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${KEY}` } })).text()
  const line = text.split('\n').find((one) => one.startsWith(name.includes('{') ? name : `${name}{`))
  return line === undefined ? undefined : Number(line.split(' ').at(-1))
}
