import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

import { expect } from 'vitest'

import { until } from '../until.ts'
import { textOf } from './bytes.ts'
import type { CaseParts } from './result-backend-rig.ts'
import { PATIENCE_MS, QUIET_MS } from './result-backend-rig.ts'

/** Cases of backends that tell waiters, instead of being asked again and again. */
export function registerNotifying({ contract, subject }: CaseParts): void {
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
