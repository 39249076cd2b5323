import { randomUUID } from 'node:crypto'

import { Hono } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'

import { Credentials } from './credentials.ts'
import type { App, Call, Env } from './environment.ts'
import { CLIENT_GONE, HttpError, problemOf, problemResponse } from './problem.ts'
import { addAbout } from './routes/about.ts'
import { addHealth, healthPaths } from './routes/health.ts'
import { addInference, INFERENCE_ROOT } from './routes/inference.ts'
import { addJobs } from './routes/jobs.ts'
import { addPredictBatch } from './routes/predict-batch.ts'
import { addPredictSync } from './routes/predict.ts'
import type { Served } from './served.ts'

/** The HTTP interface of a service: a function from requests to answers, for any server that speaks `fetch`. */
export function createApp(served: Served): App {
  const app: App = new Hono<Env>({ strict: false })
  observe(app, served)
  authenticate(app, served)
  addHealth(app, served)
  addAbout(app, served)
  addPredictSync(app, served)
  addPredictBatch(app, served)
  addJobs(app, served)
  addInference(app, served)
  app.notFound((c) => notFound(c, app))
  app.onError((error, c) => answerError(error, c, served))
  return app
}

function notFound(c: Call, app: App): Response {
  const { method, path } = c.req
  // Middlewares match everything.
  const handlers = (one: string): number => app.router.match(one, path)[0].length
  const allowed = ['GET', 'POST', 'DELETE'].filter((one) => handlers(one) > handlers('NONE'))
  if (allowed.length === 0) {
    return problemResponse(c, {
      status: 404,
      detail: `There is no ${path.slice(0, 100)}. See /docs for what there is.`,
    })
  }
  return problemResponse(c, {
    status: 405,
    detail: `${path.slice(0, 100)} has no ${method}. Use ${allowed.join(' or ')}.`,
    headers: { allow: allowed.join(', ') },
  })
}

/** Every request has an id, and is measured. */
function observe(app: App, { metrics }: Served): void {
  app.use(async (c, next) => {
    const requestId = givenId(c) ?? randomUUID()
    c.set('requestId', requestId)
    // Before the answer is made: to change one afterwards costs Node's server a copy of it.
    c.header('x-request-id', requestId)
    const end = metrics.beginRequest(routeOf(c.req.path))
    try {
      await next()
    } finally {
      end({ model: c.get('model'), status: c.res.status })
    }
  })
}

const PREDICT = ['predict_sync', 'predict_batch', 'predict_async']
const FIXED = new Set([
  ...[...PREDICT, 'async/predict', 'health', 'health/live', 'health/ready', 'health/startup'].map((path) => `/${path}`),
  ...['metrics', 'info', 'openapi.json', 'docs', 'v2', 'v2/health/live', 'v2/health/ready'].map((path) => `/${path}`),
])

/** The path without what is different in every request, so that metrics have few names. */
function routeOf(path: string): string {
  if (FIXED.has(path)) return path
  const template = path
    .replace(/^\/jobs\/[^/]+/, '/jobs/{id}')
    .replace(/^\/(v2\/)?models\/[^/]+/, '/$1models/{model}')
    .replace(/\/versions\/[^/]+/, '/versions/{version}')
  return TEMPLATES.has(template) ? template : '(other)'
}

const OF_MODEL = ['/v2/models/{model}', '/v2/models/{model}/versions/{version}']
const TEMPLATES = new Set([
  ...['', '/retry', '/events'].map((end) => `/jobs/{id}${end}`),
  ...PREDICT.map((name) => `/models/{model}/${name}`),
  ...OF_MODEL.flatMap((path) => [path, `${path}/ready`, `${path}/infer`]),
])

function givenId(c: Call): string | undefined {
  const id = c.req.header('x-request-id')
  return id !== undefined && /^[\x21-\x7e]{1,128}$/.test(id) ? id : undefined
}

function authenticate(app: App, served: Served): void {
  const { authConfig, deploymentConfig } = served.config.appSettings
  const credentials = new Credentials({
    keys: authConfig.apiKeys,
    header: authConfig.authHeader,
    acceptsModalPair: deploymentConfig.secure,
  })
  const open = new Set([...healthPaths(served), '/openapi.json', '/docs', '/v2/health/live', '/v2/health/ready'])
  app.use(async (c, next) => {
    const headers = { get: (name: string): string | null => c.req.header(name) ?? null }
    if (!open.has(c.req.path)) {
      const found = credentials.check(headers)
      if (found === 'missing' || found === 'wrong') {
        const what = found === 'missing' ? 'The request has no key' : 'The key is not one of those that are accepted'
        throw new HttpError(
          401,
          `${what}. Send \`Authorization: Bearer <key>\`, or the header \`${authConfig.authHeader}\`.`,
          { 'www-authenticate': 'Bearer' },
        )
      }
      c.set('caller', credentials.callerOf(headers))
    }
    await next()
  })
}

function answerError(error: unknown, c: Call, { log }: Served): Response {
  const requestId = c.get('requestId')
  const { isInternal, ...problem } = problemOf(error, requestId)
  if (isInternal) log.error({ err: error, requestId, path: c.req.path }, 'A request failed.')
  // Nobody reads it.
  if (problem.status === CLIENT_GONE) return new Response(null, { status: CLIENT_GONE })
  // What the Open Inference Protocol says of errors.
  if (isInference(c.req.path)) {
    return c.json({ error: problem.detail }, problem.status as ContentfulStatusCode, { ...problem.headers })
  }
  return problemResponse(c, problem)
}

function isInference(path: string): boolean {
  return path === INFERENCE_ROOT || path.startsWith(`${INFERENCE_ROOT}/`)
}
