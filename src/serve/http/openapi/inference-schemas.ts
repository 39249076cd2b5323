import { schemaRef } from './hoist.ts'
import type { JsonSchema } from './types.ts'

const TEXT: JsonSchema = { type: 'string' }
const PARAMETERS: JsonSchema = { type: 'object', additionalProperties: true }
const NAMES: JsonSchema = { type: 'array', items: TEXT }
const SHAPE: JsonSchema = { type: 'array', items: { type: 'integer' } }

function object(properties: Readonly<Record<string, JsonSchema>>, required: readonly string[]): JsonSchema {
  return { type: 'object', properties, required }
}

/** Components of the Open Inference Protocol, version 2. */
export const INFERENCE_SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  InferenceDatatype: {
    type: 'string',
    enum: [
      'BOOL',
      'UINT8',
      'UINT16',
      'UINT32',
      'UINT64',
      'INT8',
      'INT16',
      'INT32',
      'INT64',
      'FP16',
      'FP32',
      'FP64',
      'BYTES',
    ],
  },
  InferenceTensor: {
    ...object(
      {
        name: TEXT,
        shape: { ...SHAPE, minItems: 1, description: 'The first dimension is the batch.' },
        datatype: schemaRef('InferenceDatatype'),
        parameters: PARAMETERS,
        data: { type: 'array', items: {}, description: 'In row-major order, flat or nested as the shape says.' },
      },
      ['name', 'shape', 'datatype', 'data'],
    ),
  },
  InferenceOutputChoice: object({ name: TEXT, parameters: PARAMETERS }, ['name']),
  InferenceRequest: object(
    {
      id: TEXT,
      parameters: PARAMETERS,
      inputs: { type: 'array', items: schemaRef('InferenceTensor'), minItems: 1 },
      outputs: {
        type: 'array',
        items: schemaRef('InferenceOutputChoice'),
        description: 'Which outputs to return, and in what order. Left out: all.',
      },
    },
    ['inputs'],
  ),
  InferenceResponse: object(
    {
      model_name: TEXT,
      model_version: TEXT,
      id: TEXT,
      parameters: PARAMETERS,
      outputs: { type: 'array', items: schemaRef('InferenceTensor') },
    },
    ['model_name', 'outputs'],
  ),
  InferenceTensorMetadata: object(
    { name: TEXT, datatype: schemaRef('InferenceDatatype'), shape: SHAPE, parameters: PARAMETERS },
    ['name', 'datatype', 'shape'],
  ),
  InferenceModelMetadata: object(
    {
      name: TEXT,
      versions: NAMES,
      platform: TEXT,
      inputs: { type: 'array', items: schemaRef('InferenceTensorMetadata') },
      outputs: { type: 'array', items: schemaRef('InferenceTensorMetadata') },
    },
    ['name', 'platform', 'inputs', 'outputs'],
  ),
  InferenceServerMetadata: object({ name: TEXT, version: TEXT, extensions: NAMES }, ['name', 'version', 'extensions']),
  InferenceLive: object({ live: { type: 'boolean' } }, ['live']),
  InferenceReady: object({ ready: { type: 'boolean' } }, ['ready']),
  InferenceModelReady: object({ name: TEXT, ready: { type: 'boolean' } }, ['name', 'ready']),
  InferenceError: object({ error: TEXT }, ['error']),
}
