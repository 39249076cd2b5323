import { answer, JSON_TYPE, parameter, problems } from './answers.ts'
import type { ProblemOptions } from './answers.ts'
import { schemaRef } from './hoist.ts'
import type { ApiDescription, Operation, Paths, Reference } from './types.ts'

export const INFERENCE_TAG = 'Open Inference Protocol'

/** The Open Inference Protocol, version 2. */
export function inferenceRoutes(api: ApiDescription): Paths {
  const tags = [INFERENCE_TAG]
  const requestId: readonly Reference[] = [parameter('RequestId')]
  const common: ProblemOptions = { api, form: 'inference' }
  return {
    '/v2': {
      get: {
        operationId: 'inferenceServerMetadata',
        tags,
        summary: 'Name and version of the server',
        parameters: requestId,
        responses: { 200: answer('The server.', schemaRef('InferenceServerMetadata')), ...problems(common, 500) },
      },
    },
    '/v2/health/live': {
      get: {
        operationId: 'inferenceServerLive',
        tags,
        summary: 'Whether the process is alive',
        security: [],
        parameters: requestId,
        responses: { 200: answer('It is.', schemaRef('InferenceLive')), ...problems({ ...common, isOpen: true }, 503) },
      },
    },
    '/v2/health/ready': {
      get: {
        operationId: 'inferenceServerReady',
        tags,
        summary: 'Whether the server takes requests',
        security: [],
        parameters: requestId,
        responses: {
          200: answer('It does.', schemaRef('InferenceReady')),
          ...problems({ ...common, isOpen: true }, 503),
        },
      },
    },
    ...modelRoutes(common, { base: '/v2/models/{model}', suffix: '' }),
    ...modelRoutes(common, { base: '/v2/models/{model}/versions/1', suffix: 'Version1' }),
  }
}

function modelRoutes(common: ProblemOptions, at: { readonly base: string; readonly suffix: string }): Paths {
  const shared: Pick<Operation, 'tags' | 'parameters'> = {
    tags: [INFERENCE_TAG],
    parameters: [parameter('InferenceModel'), parameter('RequestId')],
  }
  return {
    [at.base]: {
      get: {
        ...shared,
        operationId: `inferenceModelMetadata${at.suffix}`,
        summary: 'The tensors that a model takes and returns',
        responses: { 200: answer('The model.', schemaRef('InferenceModelMetadata')), ...problems(common, 404, 500) },
      },
    },
    [`${at.base}/ready`]: {
      get: {
        ...shared,
        operationId: `inferenceModelReady${at.suffix}`,
        summary: 'Whether a model takes requests',
        responses: { 200: answer('It does.', schemaRef('InferenceModelReady')), ...problems(common, 404, 503) },
      },
    },
    [`${at.base}/infer`]: {
      post: {
        ...shared,
        operationId: `inferenceInfer${at.suffix}`,
        summary: 'Run a model over tensors',
        parameters: [...shared.parameters, parameter('RequestTimeout')],
        requestBody: {
          description: 'A tensor for each field of the input. Their first dimension is the batch.',
          required: true,
          content: { [JSON_TYPE]: { schema: schemaRef('InferenceRequest') } },
        },
        responses: {
          200: answer('A tensor for each field of the output.', schemaRef('InferenceResponse')),
          ...problems(common, 400, 404, 408, 413, 415, 422, 429, 500, 503, 504),
        },
      },
    },
  }
}
