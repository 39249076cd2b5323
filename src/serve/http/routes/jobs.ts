import { KiqError } from '../../../contract/index.ts'
import { readJobRequest } from '../../jobs/index.ts'
import type { JobEvent } from '../../jobs/index.ts'
import { readJson } from '../body.ts'
import type { App, Call } from '../environment.ts'
import { sseEvent, streamResponse } from '../event-stream.ts'
import { findModel } from '../find-model.ts'
import { HttpError, problemOf, problemText } from '../problem.ts'
import { requestTime } from '../request-time.ts'
import type { Served } from '../served.ts'

/** Milliseconds for the last events when the service ends. */
const LAST_EVENTS_MS = 1_000

export function addJobs(app: App, served: Served): void {
  addSubmit(app, served)
  app.get('/jobs/:id', async (c) => {
    const job = await served.jobs.get(c.req.param('id'))
    if (job === undefined) throw unknownJob(c.req.param('id'))
    c.set('model', job.model_name)
    return c.json(job)
  })
  app.delete('/jobs/:id', async (c) => c.json(await served.jobs.cancel(c.req.param('id')), 202))
  app.post('/jobs/:id/retry', async (c) => c.json(await served.jobs.retry(c.req.param('id')), 202))
  app.get('/jobs/:id/events', async (c) => await followJob(c, served, c.req.param('id')))
}

function addSubmit(app: App, served: Served): void {
  const { maxPayloadBytes, requestTimeout } = served.config.appSettings.httpConfig
  const handle = async (c: Call): Promise<Response> => {
    const model = findModel(c, served.models)
    const time = requestTime(c, requestTimeout)
    const body = await readJson(c, { maxBytes: maxPayloadBytes, signal: time.signal }).finally(() => time.end())
    const request = readJobRequest(body)
    // What the pipeline gets is parsed again when the job runs: what waits is what was sent.
    await model.parse(request.message, 'message')
    const { job, isNew } = await served.jobs.submit(model.name, request, {
      idempotencyKey: idempotencyKey(c),
      caller: c.get('caller'),
    })
    return c.json({ job_id: job.job_id, state: job.state }, isNew ? 202 : 200, { location: `/jobs/${job.job_id}` })
  }
  for (const path of ['/predict_async', '/async/predict', '/models/:model/predict_async']) app.post(path, handle)
}

function idempotencyKey(c: Call): string | undefined {
  const key = c.req.header('idempotency-key')
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return key
  throw new HttpError(400, 'The Idempotency-Key is not 1 to 255 visible ASCII characters. Use for example a UUID.')
}

async function followJob(c: Call, served: Served, id: string): Promise<Response> {
  if ((await served.jobs.get(id)) === undefined) throw unknownJob(id)
  // A GET without its answer: nobody would read the stream.
  if (c.req.raw.method === 'HEAD') return c.body(null, 200, { 'content-type': 'text/event-stream' })
  const gone = new AbortController()
  cutAtTheEnd(c, served.closing)
  const signal = AbortSignal.any([gone.signal, served.closing])
  const events = served.jobs.follow(id, { signal })[Symbol.asyncIterator]()
  const requestId = c.get('requestId')
  const source: AsyncIterator<string> = {
    async next() {
      try {
        const next = await events.next()
        return next.done === true ? { done: true, value: undefined } : { done: false, value: eventText(next.value) }
      } catch (error) {
        if (signal.aborted) return { done: true, value: undefined }
        const problem = problemOf(error, requestId)
        if (problem.isInternal) served.log.error({ err: error, requestId, job: id }, 'Following a job failed.')
        gone.abort()
        return { done: false, value: `event: error\ndata: ${problemText(problem)}\n\n` }
      }
    },
    async return() {
      gone.abort()
      await events.return?.()
      return { done: true, value: undefined }
    },
  }
  return streamResponse(c, source, { kind: 'sse', log: served.log })
}

/** A client that does not read would hold up the end of the service. */
function cutAtTheEnd(c: Call, closing: AbortSignal): void {
  const { outgoing } = c.env as Partial<Call['env']>
  if (outgoing === undefined) return
  let timer: NodeJS.Timeout | undefined
  const onClosing = (): void => {
    timer = setTimeout(() => outgoing.destroy(), LAST_EVENTS_MS)
  }
  closing.addEventListener('abort', onClosing, { once: true })
  outgoing.once('close', () => {
    clearTimeout(timer)
    closing.removeEventListener('abort', onClosing)
  })
}

function eventText(event: JobEvent): string {
  switch (event.type) {
    case 'state':
      return sseEvent('state', event.job)
    case 'progress':
      return sseEvent('progress', event.value)
    case 'output':
      return sseEvent('output', event.output)
  }
}

function unknownJob(id: string): KiqError {
  return new KiqError(
    'KIQ_SERVE_JOB_UNKNOWN',
    `There is no job ${JSON.stringify(id)}, or its record has expired. Check the id, or raise \`async_config.result_ttl\`.`,
  )
}
