import { FIXED_SCHEMAS } from './fixed-schemas.ts'
import { hoist, schemaRef } from './hoist.ts'
import { Names, pascal } from './names.ts'
import { outputFields } from './output-fields.ts'
import type { ApiDescription, JsonSchema, ModelDescription } from './types.ts'

/** A model with the components that describe it. */
export interface DescribedModel {
  readonly name: string
  readonly streams: boolean
  /** Ends the names of its operations: `predictSync` and this. */
  readonly suffix: string
  /** References. */
  readonly input: JsonSchema
  readonly envelope: JsonSchema
  readonly asyncRequest: JsonSchema
}

export interface DescribedModels {
  readonly models: readonly DescribedModel[]
  readonly schemas: Readonly<Record<string, JsonSchema>>
}

/** Names the models apart, and makes the components that each of them has. */
export function describeModels(description: ApiDescription): DescribedModels {
  const suffixes = new Names()
  const names = new Names([...Object.keys(FIXED_SCHEMAS), 'Job'])
  const all = description.models.map((model) => describeModel(model, suffixes.take(pascal(model.name, 'Model')), names))
  return {
    models: all.map(({ model }) => model),
    schemas: Object.assign({}, ...all.map(({ schemas }) => schemas)) as DescribedModels['schemas'],
  }
}

function describeModel(
  model: ModelDescription,
  suffix: string,
  names: Names,
): { readonly model: DescribedModel; readonly schemas: Readonly<Record<string, JsonSchema>> } {
  const input = names.take(`${suffix}Input`)
  const output = names.take(`${suffix}Output`)
  const success = names.take(`${suffix}Success`)
  const envelope = names.take(`${suffix}Envelope`)
  const asyncRequest = names.take(`${suffix}AsyncRequest`)
  return {
    model: {
      name: model.name,
      streams: model.streams,
      suffix,
      input: schemaRef(input),
      envelope: schemaRef(envelope),
      asyncRequest: schemaRef(asyncRequest),
    },
    schemas: {
      ...hoist(model.input, input, names),
      ...hoist(outputFields(model.output), output, names),
      [success]: { allOf: [schemaRef('SuccessEnvelope'), schemaRef(output)] },
      [envelope]: {
        description: `What "${model.name}" made of one input. \`error\` is null when it succeeded.`,
        anyOf: [schemaRef(success), schemaRef('FailureEnvelope')],
      },
      [asyncRequest]: asyncRequestSchema(schemaRef(input)),
    },
  }
}

function asyncRequestSchema(message: JsonSchema): JsonSchema {
  return {
    type: 'object',
    properties: {
      message,
      success_queue: {
        type: 'string',
        default: '',
        description: 'Queue for the output when the model succeeds. Empty: none.',
      },
      failure_queue: {
        type: 'string',
        default: '',
        description: 'Queue for the output when the model fails. Empty: none.',
      },
      meta: {
        type: 'object',
        additionalProperties: true,
        default: {},
        description: 'Comes back with the output, as it is.',
      },
      webhook: schemaRef('WebhookTarget'),
    },
    required: ['message'],
    additionalProperties: false,
  }
}

/** One of several schemas, or the only one. */
export function anyOf(schemas: readonly JsonSchema[]): JsonSchema {
  const [first = {}, ...others] = schemas
  return others.length === 0 ? first : { anyOf: schemas }
}
