import { describe, expect, it } from 'vitest'
import { z } from 'zod'

import type { StandardSchema } from '../../src/contract/index.ts'
import { openApiDocument } from '../../src/serve/http/openapi/document.ts'
import { jsonSchemaOf } from '../../src/serve/http/openapi/json-schema.ts'
import type { ModelDescription, OpenApiDocument } from '../../src/serve/http/openapi/types.ts'
import { generateClient, programFolder, typeErrors } from './generated-client.ts'

const Address = z.object({ street: z.string(), kind: z.enum(['home', 'work']).optional() }).meta({ id: 'Address' })

const Order = z.object({
  text: z.string(),
  address: Address,
  billing: Address.optional(),
  tags: z.array(z.string()).default([]),
})

const Sentiment = z.object({ sentiment: z.enum(['positive', 'neutral']), confidence: z.number(), address: Address })

function model(name: string, input: StandardSchema, output: StandardSchema): ModelDescription {
  return { name, input: jsonSchemaOf(input, 'input'), output: jsonSchemaOf(output, 'output'), streams: true }
}

const sentiment = model('sentiment-analyzer', Order, Sentiment)
const language = model('language', z.object({ code: z.string() }), z.object({ language: z.string() }))

function documentOf(models: readonly ModelDescription[]): OpenApiDocument {
  const limits = { maxPayloadBytes: 1_000_000, requestTimeoutSeconds: 60 }
  return openApiDocument({ title: 'shop', version: '1', authHeader: 'x-api-key', hasKeys: true, ...limits, models })
}

const USE_ONE = `import { cancelJob, getHealthReady, getJob, predictAsync, predictBatch, predictSync } from './client/index.ts'
import { client } from './client/client.gen.ts'

client.setConfig({ baseUrl: 'http://127.0.0.1:1', auth: 'key' })
const address = { street: 'Main Street', kind: 'home' as const }
const { data, error } = await predictSync({ body: { text: 'good', address }, headers: { 'x-request-timeout': 2.5 } })
if (error !== undefined) console.log(error.detail, error.errors?.[0]?.path)
if (data !== undefined) {
  if (data.error === null) {
    const found: 'positive' | 'neutral' = data.sentiment
    const street: string = data.address.street
    console.log(found, street, data.confidence.toFixed(2))
  } else console.log(data.status, data.error.length)
}
const batch = await predictBatch({ body: [{ text: 'good', address }], query: { model_name: 'sentiment-analyzer' } })
console.log(batch.data?.map((one) => one.error ?? one.status))
const accepted = await predictAsync({
  body: { message: { text: 'x', address }, success_queue: 's', meta: { user: 1 }, webhook: { url: 'https://example.com' } },
  headers: { 'Idempotency-Key': 'k' },
})
const job = await getJob({ path: { id: accepted.data?.job_id ?? '' } })
if (job.data?.state === 'succeeded' && job.data.result?.error === null) console.log(job.data.result.sentiment)
await cancelJob({ path: { id: 'x' } })
console.log((await getHealthReady()).data?.models['sentiment-analyzer'])
`

const USE_TWO = `import { predictAsyncLanguage, predictSync, predictSyncLanguage, predictSyncSentimentAnalyzer } from './client/index.ts'

const found = await predictSyncLanguage({ body: { code: 'let x' } })
if (found.data?.error === null) console.log(found.data.language.length)
const other = await predictSyncSentimentAnalyzer({ body: { text: 'good', address: { street: 'Main Street' } } })
if (other.data?.error === null) console.log(other.data.confidence.toFixed(2))
await predictSync({ body: { code: 'let x' }, query: { model_name: 'language' } })
await predictAsyncLanguage({ body: { message: { code: 'let x' } } })
`

// The compiler reads the libraries for each program, which takes long on a machine that does much else.
describe('a client generated from the document', { timeout: 120_000 }, () => {
  it('type-checks for a service with one model', async () => {
    const folder = programFolder()
    await generateClient(documentOf([sentiment]), folder)
    expect(typeErrors(folder, 'program.ts', USE_ONE)).toEqual([])
  })

  it('refuses wrong fields, values and outputs', async () => {
    const folder = programFolder()
    await generateClient(documentOf([sentiment]), folder)
    const source = `import { getJob, predictAsync, predictSync } from './client/index.ts'
const address = { street: 'Main Street' }
await predictSync({ body: { txt: 'good', address } })
await predictSync({ body: { text: 'good' } })
await predictSync({ body: { text: 'good', address: { street: 'x', kind: 'garden' } } })
await predictSync({ body: { text: 'good', address }, query: { model_name: 'other' } })
await predictAsync({ body: { message: { text: 'good', address }, queue: 'x' } })
const { data } = await predictSync({ body: { text: 'good', address } })
if (data?.error === null) console.log(data.label)
if (data?.error !== null) console.log(data?.sentiment)
if ((await getJob({ path: { id: 'x' } })).data?.state === 'done') console.log(1)
`
    const lines = typeErrors(folder, 'program.ts', source).map((message) => message.split(':')[0])
    expect(lines).toEqual(['3', '4', '5', '6', '7', '9', '10', '11'])
  })

  it('type-checks for a service with several models, each with its own functions', async () => {
    const folder = programFolder()
    await generateClient(documentOf([sentiment, language]), folder)
    expect(typeErrors(folder, 'program.ts', USE_TWO)).toEqual([])
    const mixed = `import { predictSync, predictSyncLanguage } from './client/index.ts'
await predictSyncLanguage({ body: { text: 'good' } })
await predictSync({ body: { code: 'let x' } })
`
    expect(typeErrors(folder, 'mixed.ts', mixed).map((message) => message.split(':')[0])).toEqual(['2', '3'])
  })

  it('type-checks where schemas refer to themselves, or allow anything', async () => {
    const folder = programFolder()
    const Node = z.object({
      name: z.string(),
      get children() {
        return z.array(Node)
      },
    })
    const anything = { ...language, name: 'anything', input: {}, output: {} }
    await generateClient(documentOf([model('tree', z.object({ root: z.lazy(() => Node) }), Node), anything]), folder)
    const source = `import { predictSyncAnything, predictSyncTree } from './client/index.ts'
const root = { name: 'a', children: [{ name: 'b', children: [] }] }
const { data } = await predictSyncTree({ body: { root } })
if (data?.error === null) console.log(data.children[0]?.children[0]?.name.length)
const any = await predictSyncAnything({ body: { whatever: [1] } })
console.log(any.data?.status)
`
    expect(typeErrors(folder, 'program.ts', source)).toEqual([])
  })
})
