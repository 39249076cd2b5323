import { describe, expect, it } from 'vitest'

import { answerOf, serveShouting } from './kit.ts'

const texts = (...data: readonly string[]) => ({
  inputs: [{ name: 'text', shape: [data.length], datatype: 'BYTES', data }],
})

describe('the Open Inference Protocol', () => {
  it.each(['/v2/models/shout/infer', '/v2/models/shout/versions/1/infer'])(
    'answers a batch of tensors with tensors at %s',
    async (path) => {
      const { post } = await serveShouting({ settings: { batchConfig: { maxBatchSize: 4 } } })

      const answer = await post(path, { id: 'one', ...texts('a', 'bc') })

      expect(answer).toMatchObject({
        status: 200,
        body: {
          model_name: 'shout',
          model_version: '1',
          id: 'one',
          outputs: [
            { name: 'shout', datatype: 'BYTES', shape: [2], data: ['A', 'BC'] },
            { name: 'length', datatype: 'FP64', shape: [2], data: [1, 2] },
          ],
        },
      })
    },
  )

  it('describes server and model', async () => {
    const { get } = await serveShouting()

    expect((await get('/v2')).body).toMatchObject({ name: 'shop-dev', extensions: [] })
    expect((await get('/v2/models/shout')).body).toMatchObject({
      name: 'shout',
      versions: ['1'],
      inputs: [{ name: 'text', datatype: 'BYTES', shape: [-1] }],
    })
    expect(await get('/v2/models/shout/ready')).toMatchObject({ status: 200, body: { name: 'shout', ready: true } })
  })

  it.each([
    ['/v2/models/nobody/infer', texts('a'), 404, 'There is no model "nobody"'],
    ['/v2/models/shout/versions/2/infer', texts('a'), 404, 'has no version "2"'],
    ['/v2/models/shout/infer', { inputs: [] }, 422, 'Send a list with a tensor'],
    ['/v2/models/shout/infer', texts(''), 422, '0.text'],
  ])('answers errors in its own form: %s %j', async (path, body, status, error) => {
    const { post } = await serveShouting()

    const answer = await post(path, body)

    expect(answer).toMatchObject({ status, body: { error: expect.stringContaining(error) as string } })
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
  })

  it('needs a key, besides for health', async () => {
    const { url } = await serveShouting()

    expect(await answerOf(await fetch(`${url}/v2`))).toMatchObject({
      status: 401,
      body: { error: expect.any(String) as string },
    })
    expect(await answerOf(await fetch(`${url}/v2/health/ready`))).toMatchObject({ status: 200, body: { ready: true } })
  })
})
