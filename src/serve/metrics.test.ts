import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { register } from 'prom-client'
import { describe, expect, it, onTestFinished } from 'vitest'

import { until } from '../testing/until.ts'
import { ServeMetrics } from './metrics.ts'
import type { MetricSources, ServeMetricsOptions } from './metrics.ts'

const MODEL = { name: 'm', state: 'ready', waiting: 3, running: 2, workers: 4 }
const SOURCES: MetricSources = { models: [MODEL], queues: new Map([['q', { sent: 5, failed: 1 }]]) }

function serveMetrics(options: Partial<ServeMetricsOptions> = {}): ServeMetrics {
  const metrics = new ServeMetrics({ app: 'shop-dev', sources: () => SOURCES, processMetrics: false, ...options })
  onTestFinished(() => metrics.close())
  return metrics
}

/** Lines with values, without those of buckets. */
async function lines(metrics: ServeMetrics): Promise<readonly string[]> {
  const text = await metrics.text()
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#') && !line.includes('_bucket'))
}

async function value(metrics: ServeMetrics, series: string): Promise<number | undefined> {
  const line = (await lines(metrics)).find((one) => one.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

describe('the metrics of a service', () => {
  it('have models and queues as they are when asked', async () => {
    let sources = SOURCES
    const metrics = serveMetrics({ version: '1.2.3', sources: () => sources })

    expect(await lines(metrics)).toEqual(
      expect.arrayContaining([
        'kiq_serve_info{app="shop-dev",version="1.2.3"} 1',
        'kiq_serve_waiting_requests{model="m"} 3',
        'kiq_serve_running_batches{model="m"} 2',
        'kiq_serve_workers{model="m"} 4',
        'kiq_serve_model_ready{model="m"} 1',
        'kiq_serve_queue_messages_total{queue="q",state="sent"} 5',
        'kiq_serve_queue_messages_total{queue="q",state="failed"} 1',
      ]),
    )

    sources = {
      models: [{ ...MODEL, name: 'n', state: 'starting', waiting: 0 }],
      queues: new Map([['q', { sent: 6, failed: 1 }]]),
    }
    expect(await value(metrics, 'kiq_serve_model_ready{model="n"}')).toBe(0)
    expect(await value(metrics, 'kiq_serve_model_ready{model="m"}')).toBeUndefined()
    expect(await value(metrics, 'kiq_serve_queue_messages_total{queue="q",state="sent"}')).toBe(6)
  })

  it('count and time requests', async () => {
    const metrics = serveMetrics()
    const end = metrics.beginRequest('/predict_sync')
    const series = 'kiq_serve_requests_in_progress{route="/predict_sync"}'
    expect(await value(metrics, series)).toBe(1)

    end({ model: 'm', status: 200 })
    end({ model: 'm', status: 500 })
    metrics.beginRequest('/jobs/{id}')({ status: 404 })
    expect(await value(metrics, series)).toBe(0)
    const counts = (await lines(metrics)).filter((line) => line.startsWith('kiq_serve_request_duration_seconds_count'))
    expect(counts).toEqual([
      'kiq_serve_request_duration_seconds_count{route="/predict_sync",model="m",status="200"} 1',
      'kiq_serve_request_duration_seconds_count{route="/jobs/{id}",model="(none)",status="404"} 1',
    ])
  })

  it('have batches with their sizes and times, from one to 512 inputs and from a millisecond to a minute', async () => {
    const metrics = serveMetrics()
    metrics.batch('m', { size: 32, seconds: 0.02 })
    metrics.batch('m', { size: 1, seconds: 90 })
    metrics.queueWait('m', 0.0005)

    expect(await value(metrics, 'kiq_serve_batch_size_sum{model="m"}')).toBe(33)
    expect(await value(metrics, 'kiq_serve_batch_duration_seconds_count{model="m"}')).toBe(2)
    expect(await value(metrics, 'kiq_serve_queue_wait_seconds_sum{model="m"}')).toBe(0.0005)
    const text = await metrics.text()
    const buckets = (name: string): readonly string[] =>
      [...text.matchAll(new RegExp(`^${name}_bucket\\{le="([^"]+)",model="m"\\} (\\d+)$`, 'gm'))].map(
        ([, le, count]) => `${le}: ${count}`,
      )
    expect(buckets('kiq_serve_batch_size').join(', ')).toBe(
      '1: 1, 2: 1, 4: 1, 8: 1, 16: 1, 32: 2, 64: 2, 128: 2, 256: 2, 512: 2, +Inf: 2',
    )
    expect(buckets('kiq_serve_batch_duration_seconds').at(-2)).toBe('60: 1')
    expect(buckets('kiq_serve_queue_wait_seconds')[0]).toBe('0.001: 1')
  })

  it('count jobs, webhooks, workers that were replaced and inputs that failed', async () => {
    const metrics = serveMetrics()
    metrics.job('m', 'queued')
    metrics.job('m', 'queued')
    metrics.webhook('delivered')
    metrics.workerRestart('m', 'died')
    metrics.itemFailed('m', 'Error')

    expect(await lines(metrics)).toEqual(
      expect.arrayContaining([
        'kiq_serve_jobs_total{model="m",state="queued"} 2',
        'kiq_serve_webhooks_total{outcome="delivered"} 1',
        'kiq_serve_worker_restarts_total{model="m",reason="died"} 1',
        'kiq_serve_items_failed_total{model="m",reason="Error"} 1',
      ]),
    )
  })

  it('put requests for models that are not served together', async () => {
    const metrics = serveMetrics()
    for (let i = 0; i < 1_000; i += 1) metrics.beginRequest('/predict_sync')({ model: `unknown-${i}`, status: 404 })

    const series = 'kiq_serve_request_duration_seconds_count{route="/predict_sync",model="(none)",status="404"}'
    expect(await value(metrics, series)).toBe(1_000)
  })

  it('know a model that is served from then on', async () => {
    let models: MetricSources['models'] = []
    const metrics = serveMetrics({ sources: () => ({ ...SOURCES, models }) })
    metrics.queueWait('m', 1)
    models = [MODEL]
    metrics.queueWait('m', 1)

    expect(await value(metrics, 'kiq_serve_queue_wait_seconds_count{model="(none)"}')).toBe(1)
    expect(await value(metrics, 'kiq_serve_queue_wait_seconds_count{model="m"}')).toBe(1)
  })

  it('tell a hundred routes, states and reasons apart, and put the others together', async () => {
    const metrics = serveMetrics()
    for (let i = 0; i < 150; i += 1) {
      metrics.beginRequest(`/r${i}`)({ status: 0 })
      metrics.workerRestart('m', `reason ${i}`)
      metrics.job('m', `state ${i}`)
    }
    const all = await lines(metrics)

    const of = (name: string): readonly string[] => all.filter((line) => line.startsWith(`kiq_serve_${name}`))
    expect(of('request_duration_seconds_count')).toHaveLength(101)
    expect(of('request_duration_seconds_count').at(-1)).toBe(
      'kiq_serve_request_duration_seconds_count{route="(others)",model="(none)",status="(none)"} 50',
    )
    expect(of('worker_restarts_total').at(-1)).toBe('kiq_serve_worker_restarts_total{model="m",reason="(others)"} 50')
    expect(of('jobs_total')).toHaveLength(101)
  })

  it('cut long reasons, and name empty ones', async () => {
    const metrics = serveMetrics()
    metrics.workerRestart('m', 'x'.repeat(1_000))
    metrics.workerRestart('m', '')

    const reasons = [...(await metrics.text()).matchAll(/worker_restarts_total\{model="m",reason="([^"]*)"\}/g)]
    expect(reasons.map(([, reason]) => reason)).toEqual([`${'x'.repeat(127)}…`, '(none)'])
  })

  it('answer though a source fails, without the values that are missing', async () => {
    const broken = { models: [MODEL, null], queues: new Map() } as unknown as MetricSources
    const closed = (): MetricSources => {
      throw new Error('closed')
    }
    let sources = (): MetricSources => SOURCES
    const metrics = serveMetrics({ sources: () => sources() })
    expect(await value(metrics, 'kiq_serve_workers{model="m"}')).toBe(4)
    for (const next of [() => broken, closed]) {
      sources = next
      expect(await value(metrics, 'kiq_serve_workers{model="m"}')).toBeUndefined()
    }
    metrics.queueWait('other', 1)

    expect(await value(metrics, 'kiq_serve_scrape_errors_total')).toBe(3)
    sources = () => SOURCES
    expect(await value(metrics, 'kiq_serve_workers{model="m"}')).toBe(4)
  })

  it('keep names with special characters apart', async () => {
    const queues = new Map([['a"b\\c\nd', { sent: 1, failed: 0 }]])
    const metrics = serveMetrics({ sources: () => ({ models: [], queues }) })

    expect(await lines(metrics)).toContain(
      String.raw`kiq_serve_queue_messages_total{queue="a\"b\\c\nd",state="sent"} 1`,
    )
  })

  it('are apart for each service, and leave those of the application alone', async () => {
    const first = serveMetrics({ processMetrics: true })
    const second = serveMetrics({ app: 'other', processMetrics: true })
    first.webhook('delivered')

    expect(await value(first, 'kiq_serve_webhooks_total{outcome="delivered"}')).toBe(1)
    expect(await value(second, 'kiq_serve_webhooks_total{outcome="delivered"}')).toBeUndefined()
    expect(register.getMetricsAsArray()).toEqual([])
  })

  it('answer several that ask at once', async () => {
    const metrics = serveMetrics({ processMetrics: true })
    const texts = await Promise.all(Array.from({ length: 5 }, () => metrics.text()))

    for (const text of texts) expect(text).toContain('kiq_serve_workers{model="m"} 4\n')
    expect(metrics.contentType).toBe('text/plain; version=0.0.4; charset=utf-8')
  })

  it('are in the text format of Prometheus, each name once and with a type', async () => {
    const metrics = serveMetrics({ processMetrics: true })
    metrics.batch('m', { size: 1, seconds: 1 })
    const text = await metrics.text()

    expect(text.endsWith('\n')).toBe(true)
    for (const line of text.split('\n')) {
      expect(line).toMatch(
        /^$|^# HELP \w+ \S.*\.|^# TYPE \w+ (counter|gauge|histogram)$|^\w+(\{.*\})? (-?[\d.e+-]+|Nan)$/,
      )
    }
    const types = [...text.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name)
    expect(new Set(types).size).toBe(types.length)
    for (const name of types) expect(name).toMatch(/^(kiq_serve|process|nodejs)_/)
  })
})

describe('the metrics of the process', () => {
  it('tell memory and processor time', async () => {
    const metrics = serveMetrics({ processMetrics: true })

    expect(await value(metrics, 'process_resident_memory_bytes')).toBeGreaterThan(10e6)
    expect(await value(metrics, 'nodejs_heap_size_used_bytes')).toBeGreaterThan(1e6)
    expect(await value(metrics, 'process_cpu_seconds_total')).toBeGreaterThan(0)
    expect(await value(metrics, `nodejs_version_info{version="${process.version}"}`)).toBe(1)
    const startedAt = Date.now() / 1_000 - process.uptime()
    expect(Math.abs(((await value(metrics, 'process_start_time_seconds')) ?? 0) - startedAt)).toBeLessThan(5)
  })

  it('have the delays since the last scrape, and none after the end', async () => {
    const metrics = serveMetrics({ processMetrics: true })
    const longest = (): Promise<number | undefined> => value(metrics, 'nodejs_eventloop_lag_max_seconds')
    expect(await longest()).toBe(0)
    await until(async () => ((await longest()) ?? 0) > 0, { timeoutMs: 5_000, everyMs: 50 })

    metrics.close()
    await longest()
    expect(await longest()).toBe(0)
  })

  it('count garbage collections', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const metrics = serveMetrics({ processMetrics: true })
    const count = (): Promise<number | undefined> => value(metrics, 'nodejs_gc_duration_seconds_count{kind="major"}')
    expect(await count()).toBeUndefined()
    collect()

    await until(async () => ((await count()) ?? 0) > 0, { timeoutMs: 5_000 })
  })

  it('are left out on demand', async () => {
    expect(await serveMetrics().text()).not.toMatch(/process_|nodejs_/)
  })

  it('begin nothing when they are closed before anybody asks', async () => {
    const metrics = serveMetrics({ processMetrics: true })
    metrics.close()
    metrics.close()

    expect(await value(metrics, 'nodejs_eventloop_lag_max_seconds')).toBe(0)
  })
})
