import { answer, EVENTS_TYPE, JSON_TYPE, LINES_TYPE, parameter, problems } from './answers.ts'
import type { ProblemStatus } from './answers.ts'
import { schemaRef } from './hoist.ts'
import { anyOf } from './model-schemas.ts'
import type { DescribedModel } from './model-schemas.ts'
import { Names } from './names.ts'
import type { ApiDescription, JsonSchema, Operation, Parameter, PathItem, Paths, Reference } from './types.ts'

export const PREDICTIONS_TAG = 'Predictions'
const MAX_BATCH = 1_000
const COMMON: readonly ProblemStatus[] = [400, 404, 408, 413, 415, 422, 429, 500, 503]
const ALIAS_ID = 'predictAsyncAlias'

/** Where a group of routes is, and for which models. */
interface Group {
  readonly api: ApiDescription
  readonly models: readonly DescribedModel[]
  readonly tag: string
  /** Ends the names of its operations. */
  readonly suffix: string
  /** What the summaries say of it. */
  readonly subject: string
  readonly parameters: readonly (Parameter | Reference)[]
}

/** The tag of the routes of one model. */
export function modelTag(model: { readonly name: string }): string {
  return `Model ${model.name}`
}

/** The short routes, which serve every model, and those below `/models/`. */
export function predictRoutes(api: ApiDescription, models: readonly DescribedModel[]): Paths {
  const short: Group = {
    api,
    models,
    tag: PREDICTIONS_TAG,
    suffix: '',
    subject: 'a model',
    parameters: [modelNameParameter(models)],
  }
  // The names of the short routes stay the same when models come and go.
  const suffixes = new Names(['Alias'])
  const paths: Record<string, PathItem> = {
    '/predict_sync': { post: syncOperation(short) },
    '/predict_batch': { post: batchOperation(short) },
    '/predict_async': { post: asyncOperation(short) },
    '/async/predict': { post: { ...asyncOperation(short), operationId: ALIAS_ID, deprecated: true } },
  }
  for (const model of models) {
    const group: Group = {
      api,
      models: [model],
      tag: modelTag(model),
      suffix: suffixes.take(model.suffix),
      subject: `"${model.name}"`,
      parameters: [],
    }
    const base = `/models/${encodeURIComponent(model.name)}`
    paths[`${base}/predict_sync`] = { post: syncOperation(group) }
    paths[`${base}/predict_batch`] = { post: batchOperation(group) }
    paths[`${base}/predict_async`] = { post: asyncOperation(group) }
  }
  return paths
}

function modelNameParameter(models: readonly DescribedModel[]): Parameter {
  return {
    name: 'model_name',
    in: 'query',
    description: 'Name of the model. May be left out when the service has one model only.',
    required: models.length > 1,
    schema: { type: 'string', enum: models.map((model) => model.name) },
  }
}

function syncOperation(group: Group): Operation {
  const envelope = anyOf(group.models.map((model) => model.envelope))
  const streams = group.models.some((model) => model.streams)
  const events: JsonSchema = {
    description:
      'The data of one event. `output`: an envelope for each chunk; then `end`: the last envelope, or `error`: a problem.',
    anyOf: [envelope, schemaRef('Problem')],
  }
  const lines: JsonSchema = {
    description: 'One line: an envelope for each chunk. The last one has `status` `error` when the model failed.',
    ...(envelope['anyOf'] === undefined ? { anyOf: [envelope] } : envelope),
  }
  return {
    operationId: `predictSync${group.suffix}`,
    tags: [group.tag],
    summary: `Run ${group.subject} for one input`,
    ...(streams ? { description: 'The header `Accept` chooses between one answer, events and lines.' } : {}),
    parameters: [...group.parameters, parameter('RequestTimeout'), parameter('RequestId')],
    requestBody: body('The input.', anyOf(group.models.map((model) => model.input))),
    responses: {
      200: answer('The output.', envelope, streams ? { more: { [EVENTS_TYPE]: events, [LINES_TYPE]: lines } } : {}),
      ...problems({ api: group.api }, ...COMMON, 504),
    },
  }
}

function batchOperation(group: Group): Operation {
  const list = (items: JsonSchema): JsonSchema => ({ type: 'array', items, minItems: 1, maxItems: MAX_BATCH })
  // The inputs of one request are all for the same model.
  const inputs = group.models.map((model) => list(model.input))
  const outputs = group.models.map((model) => list(model.envelope))
  return {
    operationId: `predictBatch${group.suffix}`,
    tags: [group.tag],
    summary: `Run ${group.subject} for several inputs`,
    description: 'An input for which the model fails does not fail the others: its output has `status` `error`.',
    parameters: [...group.parameters, parameter('RequestTimeout'), parameter('RequestId')],
    requestBody: body(`The inputs, at most ${MAX_BATCH}.`, anyOf(inputs)),
    responses: {
      200: answer('The outputs, in the order of the inputs.', anyOf(outputs)),
      ...problems({ api: group.api }, ...COMMON, 504),
    },
  }
}

function asyncOperation(group: Group): Operation {
  const accepted = schemaRef('AcceptedJob')
  return {
    operationId: `predictAsync${group.suffix}`,
    tags: [group.tag],
    summary: `Begin a job that runs ${group.subject} for one input`,
    description: 'Ask for the job, follow its events, or name a queue or a webhook to be told of its outcome.',
    parameters: [...group.parameters, parameter('IdempotencyKey'), parameter('RequestId')],
    requestBody: body('The input, and where the outcome goes.', anyOf(group.models.map((model) => model.asyncRequest))),
    responses: {
      200: answer('The job of an earlier request with the same key.', accepted, { headers: ['Location'] }),
      202: answer('The job waits to be run.', accepted, { headers: ['Location'] }),
      ...problems({ api: group.api }, ...COMMON),
    },
  }
}

function body(description: string, schema: JsonSchema): NonNullable<Operation['requestBody']> {
  return { description, required: true, content: { [JSON_TYPE]: { schema } } }
}
