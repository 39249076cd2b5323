import { readdir } from 'node:fs/promises'
import { constants, monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'
import type { IntervalHistogram } from 'node:perf_hooks'

import { Counter, Gauge, Histogram } from 'prom-client'
import type { Registry } from 'prom-client'

const DELAY_RESOLUTION_MS = 10
const NANOSECONDS = 1e9
const MICROSECONDS = 1e6
const GC_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5]

const GC_KINDS: ReadonlyMap<number, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weakcb'],
])

/**
 * Memory, processor time and event loop of this process, under the names that dashboards for Node expect. The ones that
 * prom-client brings cannot be ended; here everything that goes on by itself is ended by {@link ProcessMetrics.close}.
 */
export class ProcessMetrics {
  readonly #registry: Registry
  readonly #gc: Histogram<'kind'>
  #delays: IntervalHistogram | undefined
  #observer: PerformanceObserver | undefined
  #isClosed = false

  constructor(registry: Registry) {
    this.#registry = registry
    this.#gc = new Histogram({
      name: 'nodejs_gc_duration_seconds',
      help: 'Duration of garbage collections.',
      labelNames: ['kind'],
      buckets: GC_BUCKETS,
      registers: [registry],
    })
    this.#describeProcess()
    this.#describeMemory()
    this.#describeEventLoop()
  }

  /** Begins to measure, once: with the first scrape, so that it costs nothing where nobody looks. */
  begin(): void {
    if (this.#isClosed || this.#delays !== undefined) return
    this.#delays = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS })
    this.#delays.enable()
    this.#observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) this.#gc.observe({ kind: gcKindOf(entry) }, entry.duration / 1_000)
    })
    this.#observer.observe({ entryTypes: ['gc'] })
  }

  /** Ends a scrape. */
  end(): void {
    this.#delays?.reset()
  }

  /** Ends what measures by itself. What is read when scraped stays. */
  close(): void {
    this.#isClosed = true
    this.#delays?.disable()
    this.#observer?.disconnect()
  }

  #describeProcess(): void {
    this.#counter('process_cpu_seconds_total', 'Processor time of the process.', () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / MICROSECONDS
    })
    this.#counter('process_cpu_user_seconds_total', 'Processor time of the process in user mode.', () => {
      return process.cpuUsage().user / MICROSECONDS
    })
    this.#counter('process_cpu_system_seconds_total', 'Processor time of the process in the system.', () => {
      return process.cpuUsage().system / MICROSECONDS
    })
    const startedAt = Math.round(Date.now() / 1_000 - process.uptime())
    this.#gauge('process_start_time_seconds', 'When the process began, in seconds since the epoch.', () => startedAt)
    if (process.platform === 'linux') {
      this.#gauge('process_open_fds', 'Files and sockets that are open.', async () => {
        // NaN is how Prometheus writes that it is not known.
        return await readdir('/proc/self/fd').then(
          (names) => names.length,
          () => NaN,
        )
      })
    }
    this.#gauge('nodejs_active_resources_total', 'What keeps the event loop alive.', () => {
      return process.getActiveResourcesInfo().length
    })
    new Gauge({
      name: 'nodejs_version_info',
      help: 'Version of Node.',
      labelNames: ['version'],
      registers: [this.#registry],
    }).set({ version: process.version }, 1)
  }

  #describeMemory(): void {
    this.#gauge('process_resident_memory_bytes', 'Memory that is in use.', () => process.memoryUsage.rss())
    const memory = (name: string, help: string, key: 'heapTotal' | 'heapUsed' | 'external'): void =>
      this.#gauge(name, help, () => process.memoryUsage()[key])
    memory('nodejs_heap_size_total_bytes', 'Heap of V8.', 'heapTotal')
    memory('nodejs_heap_size_used_bytes', 'Heap of V8 that is in use.', 'heapUsed')
    memory('nodejs_external_memory_bytes', 'Memory outside the heap that belongs to objects in it.', 'external')
  }

  /** Of the time since the last scrape. */
  #describeEventLoop(): void {
    const lag = (name: string, what: string, read: (delays: IntervalHistogram) => number): void =>
      this.#gauge(
        `nodejs_eventloop_lag_${name}_seconds`,
        `Delay of the event loop since the last scrape: ${what}.`,
        () => {
          return this.#delays === undefined || this.#delays.count === 0 ? 0 : read(this.#delays) / NANOSECONDS
        },
      )
    lag('min', 'the shortest', ({ min }) => min)
    lag('max', 'the longest', ({ max }) => max)
    lag('mean', 'the mean', ({ mean }) => mean)
    lag('stddev', 'the standard deviation', ({ stddev }) => stddev)
    for (const n of [50, 90, 99]) lag(`p${n}`, `${n} % were shorter`, (delays) => delays.percentile(n))
  }

  #gauge(name: string, help: string, read: () => number | Promise<number>): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      async collect() {
        this.set(await read())
      },
    })
  }

  #counter(name: string, help: string, read: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  }
}

/** The types of Node leave the detail out. */
function gcKindOf(entry: object): string {
  const { kind } = (entry as { readonly detail?: { readonly kind: number } }).detail ?? { kind: -1 }
  return GC_KINDS.get(kind) ?? 'other'
}
