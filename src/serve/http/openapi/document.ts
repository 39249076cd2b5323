import { HEADERS, problemResponses, sharedParameters } from './answers.ts'
import { FIXED_SCHEMAS, jobSchemas } from './fixed-schemas.ts'
import { INFERENCE_TAG, inferenceRoutes } from './inference-routes.ts'
import { JOBS_TAG, jobRoutes } from './job-routes.ts'
import { describeModels } from './model-schemas.ts'
import { modelTag, PREDICTIONS_TAG, predictRoutes } from './predict-routes.ts'
import { SERVICE_TAG, serviceRoutes } from './service-routes.ts'
import type { ApiDescription, Components, OpenApiDocument, SecurityRequirement } from './types.ts'

const DIALECT = 'https://json-schema.org/draft/2020-12/schema'

/**
 * The OpenAPI document (3.1.1) of a service. The same description gives the same document. Names of operations and
 * components that belong to one model begin or end with the name of that model, so that another model does not change them.
 */
export function openApiDocument(api: ApiDescription): OpenApiDocument {
  const { models, schemas } = describeModels(api)
  const envelopes = models.map((model) => model.envelope)
  return {
    openapi: '3.1.1',
    info: { title: api.title, version: api.version, description: describe(api) },
    jsonSchemaDialect: DIALECT,
    tags: [
      { name: PREDICTIONS_TAG, description: 'Run models.' },
      ...models.map((model) => ({ name: modelTag(model), description: `Run the model "${model.name}".` })),
      { name: JOBS_TAG, description: 'What has become of requests that were accepted to be run later.' },
      { name: SERVICE_TAG, description: 'Health, metrics and descriptions of the service.' },
      { name: INFERENCE_TAG, description: 'The same models for clients of the Open Inference Protocol, version 2.' },
    ],
    security: api.hasKeys ? KEYS : [],
    paths: { ...predictRoutes(api, models), ...jobRoutes(api), ...serviceRoutes(api), ...inferenceRoutes(api) },
    components: {
      schemas: { ...schemas, ...jobSchemas(envelopes), ...FIXED_SCHEMAS },
      responses: problemResponses(api),
      parameters: sharedParameters(api),
      headers: HEADERS,
      ...(api.hasKeys ? { securitySchemes: securitySchemes(api) } : {}),
    },
  }
}

/** Either is enough. */
const KEYS: readonly SecurityRequirement[] = [{ bearer: [] }, { apiKey: [] }]

function securitySchemes(api: ApiDescription): NonNullable<Components['securitySchemes']> {
  return {
    bearer: { type: 'http', scheme: 'bearer', description: 'A key of the service.' },
    apiKey: { type: 'apiKey', in: 'header', name: api.authHeader, description: 'A key of the service.' },
  }
}

function describe(api: ApiDescription): string {
  const names = api.models.map((model) => model.name).join(', ')
  return (
    `Serves ${api.models.length === 1 ? 'the model' : 'the models'} ${names}. Bodies may have up to ` +
    `${api.maxPayloadBytes} bytes. A request may take up to ${api.requestTimeoutSeconds} seconds.`
  )
}
