import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

import { expect } from 'vitest'

import { silentLogger } from '../../contract/index.ts'
import type { Body, MaybePromise, ResultBackend, ResultBackendCapabilities } from '../../contract/index.ts'
import { until } from '../until.ts'
import { AWKWARD_BODIES, hexOf, textOf } from './bytes.ts'
import type { Contract, Subject } from './suite.ts'
import { describeContract } from './suite.ts'

/** How to exercise one result backend; see {@link describeResultBackend}. */
export interface ResultBackendSubject extends Subject {
  /**
   * Makes a fresh, unstarted backend on names or files that no other case uses. One with a limit must keep at least
   * 1,000 results.
   */
  readonly create: () => MaybePromise<ResultBackend>
  /** A second, unstarted backend on the same storage, as another process would open it. */
  readonly peer?: ((first: ResultBackend) => MaybePromise<ResultBackend>) | undefined
}

const PATIENCE_MS = 10_000
/** Milliseconds after which a listener that was not called is taken not to be called. */
const QUIET_MS = 200

/**
 * Registers the result backend contract as vitest cases. Authors of backends call this too.
 *
 * What runs follows from the capabilities that the implementation itself declares.
 */
export function describeResultBackend(subject: ResultBackendSubject): void {
  describeContract<ResultRig>(subject, {
    open: () => ResultRig.open(subject),
    close: (rig) => rig.close(),
    register: async (contract) => {
      const { capabilities } = await subject.create()
      registerRecords({ contract, subject, capabilities })
      if (capabilities.expires) registerExpiry(contract)
      if (capabilities.notifies) registerNotifying({ contract, subject, capabilities })
      if (capabilities.progress) registerProgress({ contract, subject, capabilities })
    },
  })
}

interface CaseParts {
  readonly contract: Contract<ResultRig>
  readonly subject: ResultBackendSubject
  readonly capabilities: ResultBackendCapabilities
}

class ResultRig {
  readonly backend: ResultBackend
  readonly taskId: string = randomUUID()
  readonly #subject: ResultBackendSubject
  readonly #started: ResultBackend[] = []

  private constructor(subject: ResultBackendSubject, backend: ResultBackend) {
    this.#subject = subject
    this.backend = backend
  }

  static async open(subject: ResultBackendSubject): Promise<ResultRig> {
    const rig = new ResultRig(subject, await subject.create())
    await rig.#start(rig.backend)
    return rig
  }

  async close(): Promise<void> {
    for (const backend of this.#started) await backend.stop()
  }

  async peer(): Promise<ResultBackend> {
    const { peer } = this.#subject
    if (peer === undefined) return expect.fail('this case needs `peer` and must not be registered without it')
    return await this.#start(await peer(this.backend))
  }

  async save(text: string, taskId = this.taskId): Promise<void> {
    await this.backend.save([{ taskId, body: text }])
  }

  async read(from: ResultBackend = this.backend): Promise<string | undefined> {
    const [body] = await from.get([this.taskId])
    return body === undefined ? undefined : textOf(body)
  }

  /** Subscribes, and collects what the listener gets. */
  listen(from: ResultBackend = this.backend): { readonly told: string[]; readonly unsubscribe: () => void } {
    const told: string[] = []
    if (from.subscribe === undefined) return expect.fail('`capabilities.notifies` is true, but `subscribe` is missing')
    const unsubscribe = from.subscribe(this.taskId, (body) => told.push(textOf(body)))
    expect(told, 'the listener must not be called before subscribe has returned').toEqual([])
    return { told, unsubscribe }
  }

  async #start(backend: ResultBackend): Promise<ResultBackend> {
    this.#started.push(backend)
    await backend.start({ logger: silentLogger })
    return backend
  }
}

function registerRecords({ contract, subject }: CaseParts): void {
  for (const [what, body] of AWKWARD_BODIES) {
    contract(`keeps ${what} unchanged`, async ({ backend, taskId }) => {
      await backend.save([{ taskId, body }])

      expectSameBytes((await backend.get([taskId]))[0], body)
    })
  }

  contract('gives undefined for what is not there', async ({ backend }) => {
    expect(await backend.get(['never saved'])).toEqual([undefined])
  })

  contract('gives several records in the order of the ids', async (rig) => {
    await rig.save('one', 'id-1')
    await rig.save('two', 'id-2')

    const bodies = await rig.backend.get(['id-2', 'missing', 'id-1', 'id-2'])

    expect(bodies.map(textOrNone)).toEqual(['two', undefined, 'one', 'two'])
  })

  contract('accepts empty lists', async ({ backend }) => {
    await backend.save([])
    await backend.forget([])

    expect(await backend.get([])).toEqual([])
  })

  contract('replaces an earlier record of the same id', async (rig) => {
    await rig.save('earlier, and longer')
    await rig.save('later')

    expect(await rig.read()).toBe('later')
  })

  contract('lets the last of several records of one id in one call win', async (rig) => {
    const { backend, taskId } = rig
    await backend.save([
      { taskId, body: 'first' },
      { taskId, body: 'last' },
    ])

    expect(await rig.read()).toBe('last')
  })

  contract('keeps a thousand records of one call', async ({ backend }) => {
    const ids = Array.from({ length: 1_000 }, () => randomUUID())
    await backend.save(ids.map((taskId) => ({ taskId, body: `result of ${taskId}` })))

    expect((await backend.get(ids)).map(textOrNone)).toEqual(ids.map((taskId) => `result of ${taskId}`))
  })

  contract('keeps records under ids with unusual characters', async ({ backend }) => {
    const ids = ['with space', 'a:b/c.d*e?', 'ünïcode-😀', 'quote\'"', '__proto__', 'A'.repeat(200)]
    await backend.save(ids.map((taskId) => ({ taskId, body: taskId })))

    expect((await backend.get(ids)).map(textOrNone)).toEqual(ids)
  })

  contract('forgets results, and only those', async (rig) => {
    await rig.save('kept', 'other')
    await rig.save('gone')

    await rig.backend.forget([rig.taskId, 'never saved'])

    expect((await rig.backend.get([rig.taskId, 'other'])).map(textOrNone)).toEqual([undefined, 'kept'])
  })

  contract('may be stopped twice', async ({ backend }) => {
    await backend.stop()
    await backend.stop()
  })

  if (subject.peer === undefined) return

  contract('shows a record to a peer', async (rig) => {
    const peer = await rig.peer()
    await rig.save('shared')

    expect(await rig.read(peer)).toBe('shared')
  })

  contract('forgets for the peer too', async (rig) => {
    const peer = await rig.peer()
    await rig.save('shared')
    await peer.forget([rig.taskId])

    expect(await rig.read()).toBeUndefined()
  })
}

function registerExpiry(contract: Contract<ResultRig>): void {
  contract('keeps a record for its ttlMs, and no longer', async (rig) => {
    const { backend, taskId } = rig
    await backend.save([{ taskId, body: 'short-lived', ttlMs: 1_000 }])
    expect(await rig.read()).toBe('short-lived')

    await until(async () => (await rig.read()) === undefined, { timeoutMs: PATIENCE_MS })
  })

  contract('counts the ttlMs of each record of a call apart', async (rig) => {
    const { backend, taskId } = rig
    await backend.save([
      { taskId, body: 'short-lived', ttlMs: 200 },
      { taskId: 'long', body: 'long-lived', ttlMs: 60_000 },
      { taskId: 'ever', body: 'kept for ever' },
    ])
    await until(async () => (await rig.read()) === undefined, { timeoutMs: PATIENCE_MS })

    expect((await backend.get(['long', 'ever'])).map(textOrNone)).toEqual(['long-lived', 'kept for ever'])
  })

  contract('counts the ttlMs anew for a replaced record', async (rig) => {
    const { backend, taskId } = rig
    await backend.save([
      { taskId, body: 'earlier', ttlMs: 200 },
      { taskId: 'probe', body: 'goes when the earlier one would', ttlMs: 200 },
    ])
    await rig.save('later')
    await until(async () => (await backend.get(['probe']))[0] === undefined, { timeoutMs: PATIENCE_MS })

    expect(await rig.read()).toBe('later')
  })
}

function registerNotifying({ contract, subject }: CaseParts): void {
  contract('tells a subscriber of a record that comes later', async (rig) => {
    const { told } = rig.listen()

    await rig.save('done')

    await until(() => told.length > 0, { timeoutMs: PATIENCE_MS })
    expect(told).toEqual(['done'])
  })

  contract('tells a subscriber of a record that is there already', async (rig) => {
    await rig.save('done')

    const { told } = rig.listen()

    await until(() => told.length > 0, { timeoutMs: PATIENCE_MS })
    expect(told).toEqual(['done'])
  })

  contract('loses no record that comes while a subscription begins', async (rig) => {
    const saving = rig.save('done')
    const { told } = rig.listen()
    await saving

    await until(() => told.length > 0, { timeoutMs: PATIENCE_MS })
    expect(told).toEqual(['done'])
  })

  contract('tells a subscriber once, however often the record is saved', async (rig) => {
    const { told } = rig.listen()

    await rig.save('first')
    await until(() => told.length > 0, { timeoutMs: PATIENCE_MS })
    await rig.save('second')
    await delay(QUIET_MS)

    expect(told).toEqual(['first'])
  })

  contract('tells two subscribers of the same id', async (rig) => {
    const [one, two] = [rig.listen(), rig.listen()]

    await rig.save('done')

    await until(() => one.told.length + two.told.length === 2, { timeoutMs: PATIENCE_MS })
    expect([one.told, two.told]).toEqual([['done'], ['done']])
  })

  contract('tells no subscriber of another id', async (rig) => {
    const { told } = rig.listen()

    await rig.save('not for them', 'other')
    await delay(QUIET_MS)

    expect(told).toEqual([])
  })

  contract('does not tell who has unsubscribed, and tells who has not', async (rig) => {
    const [gone, here] = [rig.listen(), rig.listen()]

    gone.unsubscribe()
    await rig.save('done')

    await until(() => here.told.length > 0, { timeoutMs: PATIENCE_MS })
    expect(gone.told).toEqual([])
  })

  contract('does not tell who unsubscribed in the same turn from a record that was there', async (rig) => {
    await rig.save('done')

    const { told, unsubscribe } = rig.listen()
    unsubscribe()
    await delay(QUIET_MS)

    expect(told).toEqual([])
  })

  contract('may be unsubscribed after the call, and twice', async (rig) => {
    const { told, unsubscribe } = rig.listen()
    await rig.save('done')
    await until(() => told.length > 0, { timeoutMs: PATIENCE_MS })

    unsubscribe()
    unsubscribe()

    const later = rig.listen()
    await until(() => later.told.length > 0, { timeoutMs: PATIENCE_MS })
  })

  contract('tells a thousand subscribers', async ({ backend }) => {
    const ids = Array.from({ length: 1_000 }, () => randomUUID())
    const told = new Map<string, string>()
    for (const taskId of ids) backend.subscribe?.(taskId, (body) => told.set(taskId, textOf(body)))

    await backend.save(ids.map((taskId) => ({ taskId, body: `result of ${taskId}` })))

    await until(() => told.size === 1_000, { timeoutMs: PATIENCE_MS })
    expect(ids.filter((taskId) => told.get(taskId) !== `result of ${taskId}`)).toEqual([])
  })

  contract('tells the others when a listener throws', async (rig) => {
    const { backend, taskId } = rig
    backend.subscribe?.(taskId, () => expect.fail('thrown by a listener on purpose'))
    const { told } = rig.listen()

    await rig.save('done')

    await until(() => told.length > 0, { timeoutMs: PATIENCE_MS })
  })

  contract('tells nobody after stop of a record that was saved just before', async (rig) => {
    await rig.save('done')
    const { told } = rig.listen()

    await rig.backend.stop()
    const toldBeforeStopped = told.length
    await delay(QUIET_MS)

    expect(told).toHaveLength(toldBeforeStopped)
  })

  if (subject.peer === undefined) return

  contract('tells a subscriber of a record that a peer saves', async (rig) => {
    const peer = await rig.peer()
    const { told } = rig.listen()

    await peer.save([{ taskId: rig.taskId, body: 'from the peer' }])

    await until(() => told.length > 0, { timeoutMs: PATIENCE_MS })
    expect(told).toEqual(['from the peer'])
  })

  contract('tells nobody after stop of a record that a peer saves', async (rig) => {
    const peer = await rig.peer()
    const { told } = rig.listen()
    await rig.backend.stop()

    await peer.save([{ taskId: rig.taskId, body: 'too late' }])
    await delay(QUIET_MS)

    expect(told).toEqual([])
  })
}

function registerProgress({ contract, subject, capabilities }: CaseParts): void {
  contract('has no progress before any was reported', async ({ backend, taskId }) => {
    expect(await backend.getProgress(taskId)).toBeUndefined()
  })

  contract('keeps progress, and replaces it by later progress', async ({ backend, taskId }) => {
    await backend.setProgress({ taskId, body: 'half, and longer' })
    await backend.setProgress({ taskId, body: 'done' })

    expect(textOrNone(await backend.getProgress(taskId))).toBe('done')
  })

  contract('keeps the bytes of progress unchanged', async ({ backend, taskId }) => {
    const body = Uint8Array.from({ length: 256 }, (_, index) => index)
    await backend.setProgress({ taskId, body })

    expectSameBytes(await backend.getProgress(taskId), body)
  })

  contract('keeps progress and result apart', async (rig) => {
    const { backend, taskId } = rig
    await backend.setProgress({ taskId, body: 'half' })
    expect(await rig.read()).toBeUndefined()

    await rig.save('result')

    expect([textOrNone(await backend.getProgress(taskId)), await rig.read()]).toEqual(['half', 'result'])
  })

  contract('forgets the progress with the result', async ({ backend, taskId }) => {
    await backend.setProgress({ taskId, body: 'half' })
    await backend.forget([taskId])

    expect(await backend.getProgress(taskId)).toBeUndefined()
  })

  if (capabilities.notifies) {
    contract('does not tell subscribers of progress', async (rig) => {
      const { told } = rig.listen()

      await rig.backend.setProgress({ taskId: rig.taskId, body: 'half' })
      await delay(QUIET_MS)

      expect(told).toEqual([])
    })
  }

  if (capabilities.expires) {
    contract('keeps progress for its ttlMs, and no longer', async ({ backend, taskId }) => {
      await backend.setProgress({ taskId, body: 'half', ttlMs: 1_000 })
      expect(textOrNone(await backend.getProgress(taskId))).toBe('half')

      await until(async () => (await backend.getProgress(taskId)) === undefined, { timeoutMs: PATIENCE_MS })
    })
  }

  if (subject.peer === undefined) return

  contract('shows progress to a peer', async (rig) => {
    const peer = await rig.peer()
    await rig.backend.setProgress({ taskId: rig.taskId, body: 'half' })

    expect(textOrNone(await peer.getProgress(rig.taskId))).toBe('half')
  })
}

function textOrNone(body: Body | undefined): string | undefined {
  return body === undefined ? undefined : textOf(body)
}

function expectSameBytes(actual: Body | undefined, expected: Body): void {
  expect(actual === undefined ? undefined : hexOf(actual) === hexOf(expected), 'the same bytes').toBe(true)
}
