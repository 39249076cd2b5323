import type { App } from '../environment.ts'
import { modelSchemas } from '../model-schemas.ts'
import { DOCS_CSP, docsPage, openApiDocument } from '../openapi/index.ts'
import type { Served } from '../served.ts'

/** What the service is: for people, programs and Prometheus. */
export function addAbout(app: App, served: Served): void {
  const { config, version, models } = served
  const { authConfig, httpConfig } = config.appSettings

  app.get('/info', (c) =>
    c.json({
      name: config.appName,
      version,
      started_at: served.startedAt.toISOString(),
      models: [...models.values()].map(({ name, served: { state, workers }, batching, streams }) => ({
        name,
        state,
        max_batch_size: batching.maxBatchSize,
        wait_ms: batching.waitMs ?? 0,
        workers,
        streams,
      })),
    }),
  )
  app.get('/metrics', async (c) =>
    c.body(await served.metrics.text(), 200, { 'content-type': served.metrics.contentType }),
  )

  let document: string | undefined
  app.get('/openapi.json', (c) => {
    document ??= JSON.stringify(
      openApiDocument({
        title: config.appName,
        version,
        authHeader: authConfig.authHeader,
        hasKeys: authConfig.apiKeys.length > 0,
        maxPayloadBytes: httpConfig.maxPayloadBytes,
        requestTimeoutSeconds: httpConfig.requestTimeout,
        models: [...models.values()].map((model) => ({
          name: model.name,
          ...modelSchemas(model),
          streams: model.streams,
        })),
      }),
    )
    return c.body(document, 200, { 'content-type': 'application/json' })
  })
  app.get('/docs', (c) =>
    c.html(docsPage({ title: config.appName, documentPath: 'openapi.json' }), 200, {
      'content-security-policy': DOCS_CSP,
    }),
  )
}
