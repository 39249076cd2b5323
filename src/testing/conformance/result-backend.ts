import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

import { expect } from 'vitest'

import type { Body } from '../../contract/index.ts'
import { until } from '../until.ts'
import { AWKWARD_BODIES, hexOf, textOf } from './bytes.ts'
import { registerNotifying } from './result-backend-notifying.ts'
import type { CaseParts, ResultBackendSubject } from './result-backend-rig.ts'
import { PATIENCE_MS, QUIET_MS, ResultRig } from './result-backend-rig.ts'
import type { Contract } from './suite.ts'
import { describeContract } from './suite.ts'

export type { ResultBackendSubject } from './result-backend-rig.ts'

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
