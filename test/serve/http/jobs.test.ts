import { describe, expect, it } from 'vitest'

import { until } from '../../../src/testing/until.ts'
import { held, serveJobs, SOON } from './job-kit.ts'
import type { JobJson } from './job-kit.ts'
import { KEY } from './kit.ts'

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const success = (shout: string) => ({ status: 'success', error: null, meta: {}, shout, length: shout.length })
const isoText = expect.stringMatching(ISO) as string

describe('an asynchronous request', () => {
  it.each(['/predict_async', '/async/predict', '/models/shout/predict_async', '/predict_async?model_name=shout'])(
    'to %s is accepted with the id of its job and where to find it',
    async (path) => {
      const { post, inState } = await serveJobs()

      const answer = await post(path, { message: { text: 'hi' } })

      const { job_id } = answer.body as JobJson
      expect(answer).toMatchObject({ status: 202, body: { job_id: expect.stringMatching(/^[\w-]+$/) as string } })
      expect(Object.keys(answer.body as object)).toEqual(['job_id', 'state'])
      expect(answer.headers.get('location')).toBe(`/jobs/${job_id}`)
      expect(await inState(job_id, 'succeeded')).toMatchObject({ model_name: 'shout', result: success('HI') })
    },
  )

  it('goes to the model that it names where there are several', async () => {
    const { post, inState } = await serveJobs({ models: ['other'] })

    const unnamed = await post('/predict_async', { message: { text: 'hi' } })
    const unknown = await post('/models/nobody/predict_async', { message: { text: 'hi' } })
    const paths = ['/models/other/predict_async', '/async/predict?model_name=other', '/predict_async?model_name=shout']
    const answers = await Promise.all(paths.map(async (path) => await post(path, { message: { text: 'hi' } })))

    expect([unnamed.status, unknown.status]).toEqual([422, 404])
    const jobs = await Promise.all(
      answers.map(async ({ body }) => await inState((body as JobJson).job_id, 'succeeded')),
    )
    expect(jobs.map(({ model_name }) => model_name)).toEqual(['other', 'other', 'shout'])
  })

  it.each([
    [{}, 'message'],
    ['text', 'message'],
    [[{ message: { text: 'hi' } }], 'message'],
    [{ message: { text: 'hi' }, queue: 's' }, 'queue'],
    [JSON.parse('{"message":{"text":"hi"},"__proto__":{"success_queue":"s"}}') as object, '__proto__'],
    [{ message: { text: 'hi' }, success_queue: 1 }, 'success_queue'],
    [{ message: { text: 'hi' }, failure_queue: {} }, 'failure_queue'],
    [{ message: { text: 'hi' }, meta: 'user' }, 'meta'],
    [{ message: { text: 'hi' }, meta: [1] }, 'meta'],
    [{ message: { text: 'hi' }, webhook: 'https://example.com' }, 'webhook'],
    [{ message: { text: 'hi' }, webhook: { url: 1 } }, 'webhook'],
    [{ message: { text: 'hi' }, webhook: { url: 'https://example.com', secret: 'x' } }, 'webhook'],
  ])('%j is refused with the name of the field', async (body, field) => {
    const { post, script } = await serveJobs()

    expect(await post('/predict_async', body)).toMatchObject({
      status: 422,
      body: { code: 'KIQ_ARGUMENTS_INVALID', detail: expect.stringContaining(field) as string },
    })
    expect(script.batches).toEqual([])
  })

  it('is refused when its message does not fit the model, with the path', async () => {
    const { post, script } = await serveJobs()

    expect(await post('/predict_async', { message: { text: '' } })).toMatchObject({
      status: 422,
      body: { code: 'KIQ_ARGUMENTS_INVALID', errors: [{ path: 'message.text' }] },
    })
    expect((await post('/predict_async', { message: null })).body).toMatchObject({ errors: [{ path: 'message' }] })
    expect(script.batches).toEqual([])
  })

  it.each([
    [400, '{"message":', 'application/json'],
    [415, '{"message":{"text":"hi"}}', 'text/plain'],
    [413, `{"message":{"text":"${'x'.repeat(300)}"}}`, 'application/json'],
  ])('is refused with %i for its body alone', async (status, body, type) => {
    const { send } = await serveJobs({ settings: { httpConfig: { maxPayloadBytes: 200 } } })

    const response = await send('POST', '/predict_async', { body, headers: { 'content-type': type } })

    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    await response.body?.cancel()
  })
})

describe('a job', () => {
  it('is known from when it is accepted to its end', async () => {
    const kit = await serveJobs({ settings: { batchConfig: { maxBatchSize: 1 } } })
    const release = held(kit)
    const running = await kit.submit({ message: { text: 'one' } })
    const alsoRunning = await kit.submit({ message: { text: 'two' } })
    await kit.inState(running, 'running')
    await kit.inState(alsoRunning, 'running')
    const meta = { user: 'ü', nested: { list: [1, null] } }
    const queued = await kit.submit({ message: { text: 'three' }, meta })

    expect((await kit.get(`/jobs/${queued}`)).body).toEqual({
      job_id: queued,
      model_name: 'shout',
      state: 'queued',
      created_at: isoText,
      started_at: null,
      finished_at: null,
      duration_ms: null,
      attempt: 0,
      progress: null,
      result: null,
      error: null,
      meta,
      queue: null,
      webhook: null,
    })
    expect((await kit.get(`/jobs/${running}`)).body).toMatchObject({
      state: 'running',
      started_at: isoText,
      finished_at: null,
      duration_ms: null,
      attempt: 1,
      result: null,
    })

    release()

    const done = await kit.inState(queued, 'succeeded')
    expect(done).toMatchObject({
      started_at: isoText,
      finished_at: isoText,
      attempt: 1,
      result: success('THREE'),
      error: null,
      meta,
    })
    const { created_at: created, started_at: started, finished_at: finished, duration_ms: duration } = done
    expect([created, started, finished]).toEqual([created, started, finished].toSorted())
    expect(duration).toBe(Date.parse(String(finished)) - Date.parse(String(started)))
  })

  it('fails with a text that tells nothing of the error, which is in the log', async () => {
    const { submit, inState, logger } = await serveJobs()

    const id = await submit({ message: { text: 'throw' } })

    expect(await inState(id, 'failed')).toMatchObject({
      result: null,
      error: `The model failed for this input. The log of the service has the cause, under job ${id}.`,
      finished_at: isoText,
    })
    expect(logger.lines).toContainEqual(
      expect.objectContaining({
        level: 'error',
        fields: expect.objectContaining({
          job: id,
          err: expect.objectContaining({ message: 'internal: /secret/path' }) as object,
        }) as object,
      }),
    )
  })

  it('fails with its output when that has another status', async () => {
    const { submit, inState } = await serveJobs()

    expect(await inState(await submit({ message: { text: 'bad' } }), 'failed')).toMatchObject({
      result: { status: 'refused', error: 'cannot shout this', meta: {} },
      error: 'cannot shout this',
    })
  })

  it.each([
    ['a name', 'nobody'],
    ['a key of objects', '__proto__'],
    ['a slash', 'a%2Fb'],
    ['a zero byte', '%00'],
    ['an emoji', '%F0%9F%98%80'],
    ['bytes that are no UTF-8', '%FF'],
    ['a path', '..%2F..%2Fetc'],
    ['4,000 characters', 'x'.repeat(4_000)],
    ['quotes', "'%22"],
  ])('that does not exist is answered 404 when its id is %s', async (_what, id) => {
    const { send } = await serveJobs()

    for (const [method, path] of [
      ['GET', `/jobs/${id}`],
      ['DELETE', `/jobs/${id}`],
      ['POST', `/jobs/${id}/retry`],
      ['GET', `/jobs/${id}/events`],
    ] as const) {
      const response = await send(method, path)
      expect(await response.json()).toMatchObject({ status: 404, code: 'KIQ_SERVE_JOB_UNKNOWN' })
    }
  })

  it('needs a key', async () => {
    const { url, submit } = await serveJobs()
    const id = await submit({ message: { text: 'hi' } })

    expect((await fetch(`${url}/jobs/${id}`)).status).toBe(401)
    expect((await fetch(`${url}/jobs/${id}`, { method: 'DELETE' })).status).toBe(401)
    expect((await fetch(`${url}/jobs/${id}/events`)).status).toBe(401)
  })
})

describe('the end of a job by its caller', () => {
  it('takes one that waits out of its queue', async () => {
    const kit = await serveJobs({ settings: { batchConfig: { maxBatchSize: 1 } } })
    const release = held(kit)
    const before = [await kit.submit({ message: { text: 'a' } }), await kit.submit({ message: { text: 'b' } })]
    for (const id of before) await kit.inState(id, 'running')
    const id = await kit.submit({ message: { text: 'c' }, success_queue: 's', failure_queue: 'f' })

    const answer = await kit.send('DELETE', `/jobs/${id}`)

    expect(answer.status).toBe(202)
    expect(await answer.json()).toMatchObject({
      job_id: id,
      state: 'cancelled',
      started_at: null,
      attempt: 0,
      result: null,
      error: 'The job was cancelled.',
      queue: null,
    })
    release()
    for (const other of before) await kit.inState(other, 'succeeded')
    expect(kit.script.batches).toEqual([['a'], ['b']])
    expect((await kit.get(`/jobs/${id}`)).body).toMatchObject({ state: 'cancelled' })
  })

  it('aborts one that runs, and sends no message', async () => {
    const kit = await serveJobs()
    held(kit)
    const id = await kit.submit({ message: { text: 'a' }, success_queue: 's', failure_queue: 'f' })
    await until(() => kit.script.batches.length === 1, SOON)

    expect((await kit.send('DELETE', `/jobs/${id}`)).status).toBe(202)

    expect(await kit.inState(id, 'cancelled')).toMatchObject({ attempt: 1, result: null, queue: null })
    await until(() => kit.script.aborts.length === 1, SOON)
  })

  it.each([
    ['hi', 'succeeded'],
    ['throw', 'failed'],
  ])('is refused for one that has ended: %s', async (text, state) => {
    const { submit, inState, send } = await serveJobs()
    const id = await submit({ message: { text } })
    await inState(id, state)

    const response = await send('DELETE', `/jobs/${id}`)

    expect(await response.json()).toMatchObject({
      status: 409,
      code: 'KIQ_SERVE_JOB_STATE',
      detail: expect.stringContaining(state) as string,
    })
  })

  it('is refused for one that was cancelled', async () => {
    const kit = await serveJobs()
    held(kit)
    const id = await kit.submit({ message: { text: 'a' } })
    await kit.send('DELETE', `/jobs/${id}`)
    await kit.inState(id, 'cancelled')

    expect((await kit.send('DELETE', `/jobs/${id}`)).status).toBe(409)
  })
})

describe('a job that is sent again', () => {
  it('keeps its id and its message, and counts its attempts', async () => {
    const kit = await serveJobs()
    held(kit)
    const id = await kit.submit({ message: { text: 'again' }, meta: { n: 1 }, success_queue: 's' })
    await until(() => kit.script.batches.length === 1, SOON)
    await kit.send('DELETE', `/jobs/${id}`)
    await kit.inState(id, 'cancelled')
    kit.script.gate = Promise.resolve()

    const answer = await kit.send('POST', `/jobs/${id}/retry`)

    expect(answer.status).toBe(202)
    expect(await answer.json()).toMatchObject({ job_id: id, state: 'queued', finished_at: null, error: null })
    expect(await kit.inState(id, 'succeeded')).toMatchObject({ attempt: 2, result: success('AGAIN'), meta: { n: 1 } })
    expect(await kit.queues.take('s', { timeout: '10s' })).toMatchObject({ job_id: id, meta: { n: 1 } })
  })

  it('was cancelled in its queue', async () => {
    const kit = await serveJobs({ settings: { batchConfig: { maxBatchSize: 1 } } })
    const release = held(kit)
    for (const text of ['a', 'b']) await kit.inState(await kit.submit({ message: { text } }), 'running')
    const id = await kit.submit({ message: { text: 'c' } })
    await kit.send('DELETE', `/jobs/${id}`)

    expect((await kit.send('POST', `/jobs/${id}/retry`)).status).toBe(202)

    release()
    expect(await kit.inState(id, 'succeeded')).toMatchObject({ result: success('C') })
  })

  it('may fail again, and again be sent', async () => {
    const { submit, inState, send } = await serveJobs()
    const id = await submit({ message: { text: 'throw' } })
    await inState(id, 'failed')

    for (const attempt of [2, 3]) {
      expect((await send('POST', `/jobs/${id}/retry`)).status).toBe(202)
      const job = await inState(id, 'failed')
      expect(job).toMatchObject({ attempt })
    }
  })

  it('must have failed: others are refused', async () => {
    const kit = await serveJobs()
    const release = held(kit)
    const id = await kit.submit({ message: { text: 'a' } })
    await kit.inState(id, 'running')

    expect(await (await kit.send('POST', `/jobs/${id}/retry`)).json()).toMatchObject({
      status: 409,
      code: 'KIQ_SERVE_JOB_STATE',
    })
    release()
    await kit.inState(id, 'succeeded')
    expect((await kit.send('POST', `/jobs/${id}/retry`)).status).toBe(409)
  })

  it('is sent once when several ask for it at once', async () => {
    const { submit, inState, send, script } = await serveJobs()
    const id = await submit({ message: { text: 'throw' } })
    await inState(id, 'failed')

    const answers = await Promise.all(
      Array.from({ length: 5 }, async () => (await send('POST', `/jobs/${id}/retry`)).status),
    )

    expect(answers.filter((status) => status === 202).length).toBeGreaterThanOrEqual(1)
    expect(answers.filter((status) => status !== 202 && status !== 409)).toEqual([])
    const { attempt } = await inState(id, 'failed')
    expect(script.batches).toHaveLength(attempt)
  })
})

describe('an idempotency key', () => {
  const request = { message: { text: 'once' }, success_queue: 's' }

  it('makes twenty requests at once one job, executed once', async () => {
    const { post, inState, script, queues } = await serveJobs()

    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => await post('/predict_async', request, { 'idempotency-key': 'k-1' })),
    )

    const ids = new Set(answers.map(({ body }) => (body as JobJson).job_id))
    expect(ids.size).toBe(1)
    expect(answers.filter(({ status }) => status !== 200 && status !== 202)).toEqual([])
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(1)
    const [id = ''] = ids
    await inState(id, 'succeeded')
    expect(await queues.take('s', { timeout: '10s' })).toMatchObject({ job_id: id })
    const later = await post('/predict_async', request, { 'idempotency-key': 'k-1' })
    expect(later).toMatchObject({ status: 200, body: { job_id: id, state: 'succeeded' } })
    expect(later.headers.get('location')).toBe(`/jobs/${id}`)
    expect(script.batches).toEqual([['once']])
    await expect(queues.take('s', { timeout: 1 })).rejects.toThrow()
  })

  it('takes the same request in another order of its keys for the same', async () => {
    const { submit, post } = await serveJobs()
    const headers = { 'idempotency-key': 'k' }
    const id = await submit({ message: { text: 'a' }, meta: { a: 1, b: 2 } }, headers)

    expect(await post('/predict_async', { meta: { b: 2, a: 1 }, message: { text: 'a' } }, headers)).toMatchObject({
      status: 200,
      body: { job_id: id },
    })
  })

  it('is refused for another request', async () => {
    const { submit, post } = await serveJobs()
    const headers = { 'idempotency-key': 'k' }
    const id = await submit({ message: { text: 'a' } }, headers)

    for (const body of [{ message: { text: 'b' } }, { message: { text: 'a' }, meta: { x: 1 } }]) {
      expect(await post('/predict_async', body, headers)).toMatchObject({
        status: 422,
        body: { code: 'KIQ_SERVE_KEY_REUSED', detail: expect.stringContaining(id) as string },
      })
    }
  })

  it('is one of its caller, and of the model', async () => {
    const { post, url } = await serveJobs({
      settings: { authConfig: { apiKeys: [KEY, 'second'] } },
      models: ['other'],
    })
    const body = { message: { text: 'a' } }
    const headers = { 'idempotency-key': 'k' }
    const asked = await fetch(`${url}/predict_async?model_name=shout`, {
      method: 'POST',
      headers: { ...headers, 'x-api-key': 'second', 'content-type': 'application/json' },
      body: JSON.stringify({ message: { text: 'b' } }),
    })
    const other = ((await asked.json()) as JobJson).job_id
    const mine = (await post('/predict_async?model_name=shout', body, headers)).body as JobJson
    const again = (await post('/predict_async?model_name=shout', body, headers)).body as JobJson
    const ofOther = (await post('/predict_async?model_name=other', body, headers)).body as JobJson

    expect(asked.status).toBe(202)
    expect(again.job_id).toBe(mine.job_id)
    expect(new Set([other, mine.job_id, ofOther.job_id]).size).toBe(3)
  })

  it.each([
    ['empty', ''],
    ['two words', 'a b'],
    ['not ASCII', 'ä'],
    ['256 characters long', 'x'.repeat(256)],
  ])('that is %s is refused', async (_what, key) => {
    const { post } = await serveJobs()

    const answer = await post('/predict_async', request, { 'idempotency-key': key })

    expect(answer).toMatchObject({
      status: 400,
      body: { detail: expect.stringContaining('Idempotency-Key') as string },
    })
  })
})
