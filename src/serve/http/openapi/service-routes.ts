import { answer, parameter, problems } from './answers.ts'
import { schemaRef } from './hoist.ts'
import type { ApiDescription, JsonSchema, Operation, PathItem, Paths } from './types.ts'

export const SERVICE_TAG = 'Service'

const HEALTH: readonly (readonly [path: string, operationId: string, summary: string])[] = [
  ['/health', 'getHealth', 'Whether the service is ready: the same as /health/ready'],
  ['/health/live', 'getHealthLive', 'Whether the process is alive'],
  ['/health/ready', 'getHealthReady', 'Whether the service takes requests'],
  ['/health/startup', 'getHealthStartup', 'Whether the service has started'],
]

/** Health, metrics and descriptions of the service. */
export function serviceRoutes(api: ApiDescription): Paths {
  const text: JsonSchema = { type: 'string' }
  const common: Pick<Operation, 'tags' | 'parameters'> = { tags: [SERVICE_TAG], parameters: [parameter('RequestId')] }
  const open = { ...common, security: [] }
  const health = HEALTH.map(([path, operationId, summary]): [string, PathItem] => [
    path,
    { get: { ...open, operationId, summary, responses: healthAnswers() } },
  ])
  return {
    ...Object.fromEntries(health),
    '/metrics': {
      get: {
        ...common,
        operationId: 'getMetrics',
        summary: 'Metrics for Prometheus',
        responses: { 200: answer('The metrics.', text, { mediaType: 'text/plain' }), ...problems({ api }, 500) },
      },
    },
    '/info': {
      get: {
        ...common,
        operationId: 'getInfo',
        summary: 'What is served, and with what settings',
        responses: { 200: answer('The service and its models.', schemaRef('Info')), ...problems({ api }, 500) },
      },
    },
    '/openapi.json': {
      get: {
        ...open,
        operationId: 'getOpenApi',
        summary: 'This document',
        responses: { 200: answer('The document.', { type: 'object', additionalProperties: true }) },
      },
    },
    '/docs': {
      get: {
        ...open,
        operationId: 'getDocs',
        summary: 'A page that shows this document',
        responses: { 200: answer('The page.', text, { mediaType: 'text/html' }) },
      },
    },
  }
}

function healthAnswers(): Operation['responses'] {
  const health = schemaRef('Health')
  return { 200: answer('It is.', health), 503: answer('It is not.', health) }
}
