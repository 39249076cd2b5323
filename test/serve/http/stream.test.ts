import { describe, expect, it, onTestFinished } from 'vitest'

import { InferencePipeline } from '../../../src/serve/index.ts'
import type { PipelineOutput, PipelineRun } from '../../../src/serve/index.ts'
import { until } from '../../../src/testing/until.ts'
import type { Deferred } from '../../support/deferred.ts'
import { deferred } from '../../support/deferred.ts'
import { answerOf, eventsOf, serveShouting } from './kit.ts'
import type { TextInput, TextOutput } from './kit.ts'

const SECONDS = { timeoutMs: 10_000 }
const JSON_TYPE = { 'content-type': 'application/json' }

interface Stage {
  /** Before the letter at that position. */
  readonly gates: Map<number, Deferred<void>>
  isAborted: boolean
  yielded: number
}

/** Yields the letters of the inputs, one after the other, in capitals. */
async function serveSpelling(): Promise<Awaited<ReturnType<typeof serveShouting>> & { readonly stage: Stage }> {
  const stage: Stage = { gates: new Map(), isAborted: false, yielded: 0 }
  class Spelling extends InferencePipeline<TextInput, TextOutput> {
    override preprocess(inputs: readonly TextInput[]): readonly string[] {
      return inputs.map(({ text }) => text.toUpperCase())
    }

    override async *predict(_inputs: readonly TextInput[], texts: readonly string[], run: PipelineRun) {
      run.signal.addEventListener('abort', () => {
        stage.isAborted = true
        for (const gate of stage.gates.values()) gate.resolve()
      })
      const longest = Math.max(...texts.map(({ length }) => length))
      for (let position = 0; position < longest; position += 1) {
        await stage.gates.get(position)?.promise
        const letters = texts.map((text) => text[position])
        if (letters.includes('!')) throw new Error('internal: cannot spell !')
        stage.yielded += 1
        yield letters
      }
    }

    override postprocess(inputs: readonly TextInput[], letters: readonly (string | undefined)[]) {
      return inputs.map((_input, index): PipelineOutput<TextOutput> | undefined => {
        const shout = letters[index]
        return shout === undefined ? undefined : { status: 'success', shout, length: 1 }
      })
    }

    override collect(outputs: readonly PipelineOutput<TextOutput>[]): PipelineOutput<TextOutput> {
      const shout = outputs.map((output) => output.shout ?? '').join('')
      return { status: 'success', shout, length: shout.length }
    }
  }
  const kit = await serveShouting({
    service: { pipeline: Spelling },
    settings: { batchConfig: { maxBatchSize: 4, waitMs: 0 } },
  })
  onTestFinished(() => {
    for (const gate of stage.gates.values()) gate.resolve()
  })
  return { ...kit, stage }
}

const letter = (shout: string) => ({ status: 'success', error: null, meta: {}, shout, length: 1 })

describe('outputs as they are made', () => {
  it('come as events, and the collected output at the end', async () => {
    const { send } = await serveSpelling()

    const response = await send('POST', '/predict_sync', {
      body: '{"text":"abc"}',
      headers: { ...JSON_TYPE, accept: 'text/event-stream' },
    })

    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(eventsOf(await response.text())).toEqual([
      { event: 'output', data: letter('A') },
      { event: 'output', data: letter('B') },
      { event: 'output', data: letter('C') },
      { event: 'end', data: { ...letter('ABC'), length: 3 } },
    ])
  })

  it('come as lines', async () => {
    const { send } = await serveSpelling()

    const response = await send('POST', '/predict_sync', {
      body: '{"text":"ab"}',
      headers: { ...JSON_TYPE, accept: 'application/x-ndjson' },
    })

    const lines = (await response.text()).trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([letter('A'), letter('B')])
  })

  it('come before the next one is made', async () => {
    const { send, stage } = await serveSpelling()
    stage.gates.set(1, deferred())

    const response = await send('POST', '/predict_sync', {
      body: '{"text":"ab"}',
      headers: { ...JSON_TYPE, accept: 'text/event-stream' },
    })
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    const first = new TextDecoder().decode((await reader.read()).value)

    expect(eventsOf(first)).toEqual([{ event: 'output', data: letter('A') }])
    expect(stage.yielded).toBe(1)
    stage.gates.get(1)?.resolve()
    await reader.read()
    await reader.cancel()
  })

  it('are collected for those who ask for JSON, in the same batch', async () => {
    const { send, post } = await serveSpelling()

    const [stream, whole] = await Promise.all([
      send('POST', '/predict_sync', { body: '{"text":"ab"}', headers: { ...JSON_TYPE, accept: 'text/event-stream' } }),
      post('/predict_sync', { text: 'xyz' }),
    ])

    expect(whole.body).toMatchObject({ shout: 'XYZ' })
    expect(eventsOf(await stream.text()).map(({ event }) => event)).toEqual(['output', 'output', 'end'])
  })

  it('have a status of their own when the first one fails', async () => {
    const { send } = await serveSpelling()

    const response = await send('POST', '/predict_sync', {
      body: '{"text":"!"}',
      headers: { ...JSON_TYPE, accept: 'text/event-stream' },
    })

    expect(await answerOf(response)).toMatchObject({ status: 500, body: { status: 500 } })
  })

  it.each([
    ['text/event-stream', /event: error\ndata: \{"type":"about:blank","title":"Internal Server Error","status":500/],
    ['application/x-ndjson', /\n\{"status":"error","error":"The model failed for this input\./],
  ])('end with the failure of a later one, without its text: %s', async (accept, end) => {
    const { send, logger } = await serveSpelling()

    const response = await send('POST', '/predict_sync', { body: '{"text":"a!"}', headers: { ...JSON_TYPE, accept } })

    const text = await response.text()
    expect(response.status).toBe(200)
    expect(text).toMatch(end)
    expect(text).not.toContain('cannot spell')
    expect(logger.lines.map(({ message }) => message)).toContain('A stream of outputs failed.')
  })

  it('end the work when their client goes away', async () => {
    const { send, stage } = await serveSpelling()
    stage.gates.set(1, deferred())
    const response = await send('POST', '/predict_sync', {
      body: '{"text":"ab"}',
      headers: { ...JSON_TYPE, accept: 'text/event-stream' },
    })

    await response.body?.cancel()

    await until(() => stage.isAborted, SECONDS)
  })

  it('end with 504 as an event when the time is over', async () => {
    const { send, stage } = await serveSpelling()
    stage.gates.set(1, deferred())

    const response = await send('POST', '/predict_sync', {
      body: '{"text":"ab"}',
      headers: { ...JSON_TYPE, accept: 'text/event-stream', 'x-request-timeout': '0.2' },
    })

    expect(eventsOf(await response.text())).toMatchObject([
      { event: 'output' },
      { event: 'error', data: { status: 504 } },
    ])
  })

  it('are one for a pipeline that does not stream', async () => {
    const { send } = await serveShouting()
    const ask = async (accept: string): Promise<string> => {
      const headers = { ...JSON_TYPE, accept }
      return await (await send('POST', '/predict_sync', { body: '{"text":"hi"}', headers })).text()
    }

    expect(eventsOf(await ask('text/event-stream'))).toMatchObject([{ event: 'end', data: { shout: 'HI' } }])
    expect(JSON.parse(await ask('application/x-ndjson'))).toMatchObject({ shout: 'HI' })
  })
})
