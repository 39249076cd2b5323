import { expect } from 'vitest'

import type { ScheduleSource, WritableScheduleSource } from '../../contract/index.ts'
import { isWritable, PLAIN } from './schedule-source-rig.ts'
import type { ScheduleCaseParts, ScheduleRig } from './schedule-source-rig.ts'

/** Once might be by chance: a watch may tell without a reason, and does so mostly when it begins. */
const ROUNDS = [1, 2, 3] as const

/** Cases of sources that tell of changes. */
export function registerWatch({ contract, subject, source }: ScheduleCaseParts): void {
  if (source.watch === undefined) return

  if (source.ledger !== undefined) registerLedgerChanges({ contract, subject, source })
  if (!isWritable(source)) return

  contract('tells who watches of schedules that are added, replaced and deleted', async (rig) => {
    const watching = rig.watch()

    await expectToldOfChanges(rig.writable, (act) => watching.expectTold(act))
  })

  contract('tells all who watch', async (rig) => {
    const watching = [rig.watch(), rig.watch()]

    for (const round of ROUNDS) {
      const before = watching.map(({ count }) => count)
      const schedule = { ...PLAIN, scheduleId: `schedule-${round}` }
      await Promise.all(watching.map((one) => one.expectTold(() => rig.writable.addSchedule(schedule))))
      expect(watching.every(({ count }, i) => count > Number(before[i]))).toBe(true)
    }
  })

  contract('tells nothing after a watch was ended', async (rig) => {
    const [ended, other] = [rig.watch(), rig.watch()]
    await ended.expectTold(() => rig.writable.addSchedule(PLAIN))

    ended.end()
    ended.end()
    const before = ended.count

    for (const round of ROUNDS) {
      await other.expectTold(() => rig.writable.addSchedule({ ...PLAIN, scheduleId: `schedule-${round}` }))
    }
    expect(ended.count).toBe(before)
  })

  contract('shows to who is told what it is told of', async (rig) => {
    for (const scheduleId of ['a', 'b', 'c']) {
      const watching = rig.watch()
      await watching.expectTold(() => rig.writable.addSchedule({ ...PLAIN, scheduleId }))

      expect(await rig.ids()).toContain(scheduleId)
      watching.end()
    }
  })

  if (subject.peer === undefined) return

  contract('tells who watches of the changes of a peer', async (rig) => {
    const peer = writable(await rig.peer())
    const watching = rig.watch()

    await expectToldOfChanges(peer, (act) => watching.expectTold(act))
  })
}

function registerLedgerChanges({ contract, subject }: ScheduleCaseParts): void {
  contract('tells who watches that somebody resigned, and what was paused', async (rig) => {
    await expectToldOfLedger(rig, rig.source)
  })

  if (subject.peer === undefined) return

  contract('tells who watches that a peer resigned, and what it paused', async (rig) => {
    await expectToldOfLedger(rig, await rig.peer())
  })
}

async function expectToldOfChanges(
  source: WritableScheduleSource,
  expectTold: (act: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  for (const round of ROUNDS) {
    const scheduleId = `schedule-${round}`
    await expectTold(() => source.addSchedule({ ...PLAIN, scheduleId }))
    await expectTold(() => source.addSchedule({ ...PLAIN, scheduleId, cron: '0 6 * * 1' }))
    await expectTold(() => source.addSchedule({ ...PLAIN, scheduleId, cron: undefined, intervalMs: 60_000 }))
    await expectTold(() => source.deleteSchedule(scheduleId))
  }
}

async function expectToldOfLedger(rig: ScheduleRig, actor: ScheduleSource): Promise<void> {
  const watching = rig.watch()
  const ledger = rig.ledger(actor)
  for (const _ of ROUNDS) {
    await ledger.lead('group', 'holder', 60_000)
    await watching.expectTold(() => ledger.resign('group', 'holder'))
    await watching.expectTold(() => ledger.pause('group', PLAIN.scheduleId))
    await watching.expectTold(() => ledger.resume('group', PLAIN.scheduleId))
  }
}

function writable(source: ScheduleSource): WritableScheduleSource {
  return isWritable(source) ? source : expect.fail('the peer of a writable source must be writable, too')
}
