import { describe, expect, it } from 'vitest'
import { z } from 'zod'

import { openApiDocument } from './document.ts'
import { resolveLocal } from './hoist.ts'
import { jsonSchemaOf } from './json-schema.ts'
import type { ApiDescription, JsonSchema, ModelDescription, OpenApiDocument, Operation, PathItem } from './types.ts'

const text: JsonSchema = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] }

function model(name: string, changes: Partial<ModelDescription> = {}): ModelDescription {
  return { name, input: text, output: text, streams: false, ...changes }
}

function documentOf(models: readonly ModelDescription[], changes: Partial<ApiDescription> = {}): OpenApiDocument {
  const limits = { maxPayloadBytes: 1_048_576, requestTimeoutSeconds: 60 }
  return openApiDocument({
    title: 'shop',
    version: '1.2.3',
    authHeader: 'x-shop-key',
    hasKeys: true,
    ...limits,
    models,
    ...changes,
  })
}

interface Route {
  readonly method: keyof PathItem
  readonly path: string
  readonly operation: Operation
}

function routesOf(document: OpenApiDocument): readonly Route[] {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method: method as keyof PathItem, operation })),
  )
}

/** Everything that a reader of the document would stumble over. */
function faultsOf(document: OpenApiDocument): readonly string[] {
  const faults: string[] = []
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit)
    if (typeof value !== 'object' || value === null) return
    for (const [key, inner] of Object.entries(value)) {
      if (key === '$ref' && typeof inner === 'string' && resolveLocal(document as never, inner) === undefined) {
        faults.push(`${inner} leads nowhere`)
      }
      if (['$schema', '$defs', '$id'].includes(key)) faults.push(`${key} is left`)
      if (inner === undefined) faults.push(`${key} is undefined`)
      visit(inner)
    }
  }
  visit(document)
  const ids = routesOf(document).map(({ operation }) => operation.operationId)
  for (const id of ids) {
    if (!/^[a-z][A-Za-z0-9]*$/.test(id)) faults.push(`${id} is no name of a function`)
    if (ids.filter((other) => other.toLowerCase() === id.toLowerCase()).length > 1) faults.push(`${id} is there twice`)
  }
  const tags = document.tags.map((tag) => tag.name)
  const schemes = Object.keys(document.components.securitySchemes ?? {})
  for (const { path, operation } of routesOf(document)) {
    const declared = operation.parameters
      .map((one) => ('$ref' in one ? resolveLocal(document as never, one.$ref) : one) as { name: string; in: string })
      .filter((one) => one.in === 'path')
      .map((one) => one.name)
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1])
    if (declared.join() !== inPath.join()) faults.push(`${path} declares ${declared.join()}`)
    if (operation.tags.some((tag) => !tags.includes(tag))) faults.push(`${path} has a tag that is not declared`)
    for (const requirement of operation.security ?? document.security) {
      if (Object.keys(requirement).some((name) => !schemes.includes(name))) faults.push(`${path} has no such scheme`)
    }
  }
  return faults
}

const PREDICT = '200 400 401 404 408 413 415 422 429 500 503 504'
const ACCEPT = '200 202 400 401 404 408 413 415 422 429 500 503'

describe('the document of a service with one model', () => {
  const document = documentOf([model('sentiment-analyzer')])

  it('has no faults', () => {
    expect(faultsOf(document)).toEqual([])
    expect(JSON.parse(JSON.stringify(document))).toEqual(document)
    expect(document).toMatchObject({ openapi: '3.1.1', info: { title: 'shop', version: '1.2.3' } })
  })

  it('has every route with its statuses', () => {
    const found = routesOf(document).map(
      ({ method, path, operation }) => `${method} ${path}: ${Object.keys(operation.responses).join(' ')}`,
    )
    expect(found).toEqual([
      `post /predict_sync: ${PREDICT}`,
      `post /predict_batch: ${PREDICT}`,
      `post /predict_async: ${ACCEPT}`,
      `post /async/predict: ${ACCEPT}`,
      `post /models/sentiment-analyzer/predict_sync: ${PREDICT}`,
      `post /models/sentiment-analyzer/predict_batch: ${PREDICT}`,
      `post /models/sentiment-analyzer/predict_async: ${ACCEPT}`,
      'get /jobs/{id}: 200 401 404 500 503',
      'delete /jobs/{id}: 202 401 404 409 500 503',
      'post /jobs/{id}/retry: 202 401 404 409 500 503',
      'get /jobs/{id}/events: 200 401 404 500 503',
      'get /health: 200 503',
      'get /health/live: 200 503',
      'get /health/ready: 200 503',
      'get /health/startup: 200 503',
      'get /metrics: 200 401 500',
      'get /info: 200 401 500',
      'get /openapi.json: 200',
      'get /docs: 200',
      'get /v2: 200 401 500',
      'get /v2/health/live: 200 503',
      'get /v2/health/ready: 200 503',
      'get /v2/models/{model}: 200 401 404 500',
      'get /v2/models/{model}/ready: 200 401 404 503',
      `post /v2/models/{model}/infer: ${PREDICT}`,
      'get /v2/models/{model}/versions/1: 200 401 404 500',
      'get /v2/models/{model}/versions/1/ready: 200 401 404 503',
      `post /v2/models/{model}/versions/1/infer: ${PREDICT}`,
    ])
  })

  it('names operations as functions', () => {
    const ids = routesOf(document).map(({ operation }) => operation.operationId)
    expect(ids.slice(0, 11)).toEqual([
      'predictSync',
      'predictBatch',
      'predictAsync',
      'predictAsyncAlias',
      'predictSyncSentimentAnalyzer',
      'predictBatchSentimentAnalyzer',
      'predictAsyncSentimentAnalyzer',
      'getJob',
      'cancelJob',
      'retryJob',
      'getJobEvents',
    ])
  })

  it('deprecates the other path of asynchronous requests, and nothing else', () => {
    const deprecated = routesOf(document).filter(({ operation }) => operation.deprecated === true)
    expect(deprecated.map(({ path }) => path)).toEqual(['/async/predict'])
  })

  it('lets the name of the model be left out', () => {
    expect(document.paths['/predict_sync']?.post?.parameters[0]).toMatchObject({
      name: 'model_name',
      required: false,
      schema: { enum: ['sentiment-analyzer'] },
    })
  })

  it('says which headers go with a request and come with an answer', () => {
    const { components, paths } = document
    expect(components.parameters['RequestTimeout']).toMatchObject({
      name: 'x-request-timeout',
      schema: { exclusiveMinimum: 0, default: 60 },
    })
    expect(components.parameters['IdempotencyKey']).toMatchObject({
      name: 'Idempotency-Key',
      schema: { maxLength: 255 },
    })
    expect(paths['/predict_sync']?.post?.parameters).toContainEqual({ $ref: '#/components/parameters/RequestTimeout' })
    expect(paths['/predict_async']?.post?.parameters).toContainEqual({ $ref: '#/components/parameters/IdempotencyKey' })
    expect(paths['/predict_async']?.post?.responses['202']).toMatchObject({ headers: { Location: {} } })
    for (const name of ['TooManyRequests', 'Unavailable', 'InferenceTooManyRequests', 'InferenceUnavailable']) {
      expect(Object.keys(components.responses[name]?.headers ?? {})).toEqual(['x-request-id', 'Retry-After'])
    }
    expect(components.responses['PayloadTooLarge']?.description).toContain('1048576 bytes')
  })

  it('needs a key for all but health and what describes it', () => {
    const open = routesOf(document).filter(({ operation }) => operation.security?.length === 0)
    expect(open.map(({ path }) => path)).toEqual([
      '/health',
      '/health/live',
      '/health/ready',
      '/health/startup',
      '/openapi.json',
      '/docs',
      '/v2/health/live',
      '/v2/health/ready',
    ])
    expect(document.security).toEqual([{ bearer: [] }, { apiKey: [] }])
    expect(document.components.securitySchemes).toMatchObject({
      bearer: { type: 'http', scheme: 'bearer' },
      apiKey: { type: 'apiKey', in: 'header', name: 'x-shop-key' },
    })
  })

  it('does not speak of keys where the service has none', () => {
    const without = documentOf([model('m')], { hasKeys: false })
    expect(faultsOf(without)).toEqual([])
    expect(without.security).toEqual([])
    expect(without.components).not.toHaveProperty('securitySchemes')
    expect(routesOf(without).some(({ operation }) => '401' in operation.responses)).toBe(false)
  })

  it('offers events and lines for a model that streams only', () => {
    const types = (streams: boolean) => {
      const response = documentOf([model('m', { streams })]).paths['/predict_sync']?.post?.responses['200']
      return Object.keys((response as { content: object }).content)
    }
    expect(types(false)).toEqual(['application/json'])
    expect(types(true)).toEqual(['application/json', 'text/event-stream', 'application/x-ndjson'])
  })
})

describe('the document of a service with several models', () => {
  const document = documentOf([model('sentiment-analyzer'), model('2d'), model('Sentiment_Analyzer'), model('語/{x}')])

  it('has no faults', () => {
    expect(faultsOf(document)).toEqual([])
  })

  it('has routes for each, whatever its name', () => {
    const ids = Object.fromEntries(
      Object.entries(document.paths)
        .filter(([path]) => path.startsWith('/models/') && path.endsWith('_sync'))
        .map(([path, item]) => [path, item.post?.operationId]),
    )
    expect(ids).toEqual({
      '/models/sentiment-analyzer/predict_sync': 'predictSyncSentimentAnalyzer',
      '/models/2d/predict_sync': 'predictSyncModel2d',
      '/models/Sentiment_Analyzer/predict_sync': 'predictSyncSentimentAnalyzer2',
      '/models/%E8%AA%9E%2F%7Bx%7D/predict_sync': 'predictSyncX',
    })
  })

  it('asks for the name of the model on the short routes, and takes the input of any', () => {
    const { post } = document.paths['/predict_sync'] ?? {}
    expect(post?.parameters[0]).toMatchObject({ name: 'model_name', required: true })
    expect(post?.requestBody?.content['application/json']?.schema['anyOf']).toHaveLength(4)
  })

  it('keeps the names of one model when there are others', () => {
    const own = (models: readonly ModelDescription[]) =>
      documentOf(models).paths['/models/sentiment-analyzer/predict_batch']?.post
    expect(own([model('sentiment-analyzer')])).toEqual(own([model('sentiment-analyzer'), model('other')]))
  })

  it.each(['alias', 'failure', 'success', 'job', 'problem', 'Model', '', 'constructor', '__proto__'])(
    'keeps a model that is called "%s" apart from its own names',
    (name) => {
      const found = documentOf([model(name), model('other')])
      expect(faultsOf(found)).toEqual([])
      expect(found.components.schemas['FailureEnvelope']).toHaveProperty('properties.error')
      expect(Object.keys(found.paths).filter((path) => path.startsWith('/models/'))).toHaveLength(6)
    },
  )
})

describe('the schemas of a model', () => {
  const schemas = (input: JsonSchema, output: JsonSchema = {}) =>
    documentOf([model('m', { input, output })]).components.schemas

  it('become components, with their definitions', () => {
    const address = z.object({ street: z.string() }).meta({ id: 'Address' })
    const input = jsonSchemaOf(z.object({ home: address, work: address.optional() }), 'input')
    expect(schemas(input)).toMatchObject({
      MInput: {
        properties: {
          home: { $ref: '#/components/schemas/MInputAddress' },
          work: { $ref: '#/components/schemas/MInputAddress' },
        },
      },
      MInputAddress: { properties: { street: { type: 'string' } } },
    })
  })

  it('may refer to themselves', () => {
    const Node = z.object({
      name: z.string(),
      get children() {
        return z.array(Node)
      },
    })
    const input = jsonSchemaOf(Node, 'input')
    expect(schemas(input)).toMatchObject({
      MInput: { properties: { children: { items: { $ref: '#/components/schemas/MInput' } } } },
    })
    const nested = documentOf([
      model('m', {
        input: jsonSchemaOf(z.object({ root: z.lazy(() => Node) }), 'input'),
        output: jsonSchemaOf(Node, 'output'),
      }),
    ])
    expect(faultsOf(nested)).toEqual([])
  })

  it('have definitions whose names are escaped, and references into them', () => {
    const input = {
      anyOf: [{ $ref: '#/$defs/a~1b%20c' }, { $ref: '#/definitions/old/properties/x' }, { $ref: '#/anyOf/0' }],
      $defs: { 'a/b c': { type: 'string' } },
      definitions: { old: { properties: { x: { $ref: '#/$defs/a~1b%20c' } } } },
    }
    const document = documentOf([model('m', { input })])
    expect(faultsOf(document)).toEqual([])
    expect(document.components.schemas['MInput']).toEqual({
      anyOf: [
        { $ref: '#/components/schemas/MInputA1b20c' },
        { $ref: '#/components/schemas/MInputOld/properties/x' },
        { $ref: '#/components/schemas/MInput/anyOf/0' },
      ],
    })
  })

  it('lose references that lead nowhere', () => {
    const input = { properties: { a: { $ref: '#/$defs/none' }, b: { $ref: 'https://example.com/x', title: 'b' } } }
    expect(schemas(input)['MInput']).toEqual({ properties: { a: {}, b: { title: 'b' } } })
  })

  it('keep what only looks like a reference', () => {
    const input = { properties: { $ref: { type: 'string' } }, default: { $ref: '#/nowhere' }, enum: [{ $ref: 'x' }] }
    expect(schemas(input)['MInput']).toEqual(input)
  })

  it('have outputs that go together with an envelope', () => {
    const output = z.strictObject({
      status: z.string(),
      error: z.string().nullable(),
      meta: z.record(z.string(), z.unknown()),
      label: z.string(),
    })
    expect(schemas({}, jsonSchemaOf(output, 'output'))['MOutput']).toEqual({
      type: 'object',
      properties: { label: { type: 'string' } },
      required: ['label'],
    })
  })

  it('have outputs in several forms, or behind a reference, that go together with an envelope', () => {
    const cat = z.object({ kind: z.literal('cat'), lives: z.int() }).meta({ id: 'Cat' })
    const dog = z.object({ kind: z.literal('dog') })
    const union = jsonSchemaOf(z.discriminatedUnion('kind', [cat, dog]), 'output')
    expect(JSON.stringify(schemas({}, union)['MOutput'])).not.toContain('additionalProperties')
    expect(schemas({}, union)['MOutput']).toMatchObject({ anyOf: [{ required: ['kind', 'lives'] }, {}] })
    expect(schemas({}, jsonSchemaOf(cat, 'output'))['MOutput']).toMatchObject({ required: ['kind', 'lives'] })
    const endless = { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } }
    expect(schemas({}, endless)['MOutput']).toEqual({})
  })
})
