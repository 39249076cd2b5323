import type { ServiceModel } from '../service-model.ts'
import { jsonSchemaOf } from './openapi/index.ts'
import type { JsonSchema } from './openapi/types.ts'

/** What a model takes and gives, as JSON Schema; `{}` where its schemas do not say. */
export function modelSchemas({ input, output }: ServiceModel): {
  readonly input: JsonSchema
  readonly output: JsonSchema
} {
  return {
    input: jsonSchemaOf(input, 'input'),
    output: output === undefined ? {} : jsonSchemaOf(output, 'output'),
  }
}
