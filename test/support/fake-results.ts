import type {
  Body,
  ResultBackend,
  ResultBackendCapabilities,
  ResultRecord,
  Serializer,
} from '../../src/contract/index.ts'

export interface FakeResultsOptions {
  /** Where calls are noted: `save id`. */
  readonly events?: string[] | undefined
  readonly serializer?: Serializer | undefined
}

/** A result backend in the hands of a test: cannot notify, fails when it is told. */
export class FakeResults implements ResultBackend {
  readonly capabilities: ResultBackendCapabilities = { expires: false, notifies: false, progress: true }
  readonly serializer?: Serializer | undefined
  readonly saved: ResultRecord[] = []
  starts = 0
  stops = 0
  gets = 0
  /** Runs instead of the next calls, one each: throws, or waits. */
  readonly next: {
    readonly start: (() => unknown)[]
    readonly save: (() => unknown)[]
    readonly get: (() => unknown)[]
  } = {
    start: [],
    save: [],
    get: [],
  }

  readonly #events: string[]
  readonly #bodies = new Map<string, Body>()
  readonly #progress = new Map<string, Body>()

  constructor(options: FakeResultsOptions = {}) {
    this.#events = options.events ?? []
    this.serializer = options.serializer
  }

  fail(method: keyof FakeResults['next'], error: unknown, times = 1): void {
    const instead = (): never => {
      throw error
    }
    for (let i = 0; i < times; i += 1) this.next[method].push(instead)
  }

  /** What is stored under that id now, parsed as JSON. */
  stored(taskId: string): Record<string, unknown> | undefined {
    const body = this.#bodies.get(taskId)
    return body === undefined ? undefined : (JSON.parse(String(body)) as Record<string, unknown>)
  }

  async start(): Promise<void> {
    this.starts += 1
    await this.next.start.shift()?.()
  }

  async stop(): Promise<void> {
    this.stops += 1
  }

  async save(records: readonly ResultRecord[]): Promise<void> {
    await this.next.save.shift()?.()
    for (const record of records) {
      this.#events.push(`save ${record.taskId}`)
      this.saved.push(record)
      this.#bodies.set(record.taskId, record.body)
    }
  }

  async get(taskIds: readonly string[]): Promise<readonly (Body | undefined)[]> {
    this.gets += 1
    await this.next.get.shift()?.()
    return taskIds.map((taskId) => this.#bodies.get(taskId))
  }

  async forget(taskIds: readonly string[]): Promise<void> {
    for (const taskId of taskIds) this.#bodies.delete(taskId)
  }

  async setProgress(record: ResultRecord): Promise<void> {
    this.#progress.set(record.taskId, record.body)
  }

  async getProgress(taskId: string): Promise<Body | undefined> {
    return this.#progress.get(taskId)
  }
}
