import { expect } from 'vitest'

import type { FiredState, ScheduleLedger, ScheduleState } from '../../contract/index.ts'
import { until } from '../until.ts'
import type { ScheduleCaseParts } from './schedule-source-rig.ts'

const GROUP = 'group'
/** Long enough that it is not over during a case. */
const LONG_MS = 60_000
/** Short enough that a case can wait for its end. */
const SHORT_MS = 300
const SOON = { timeoutMs: 5_000 }

/** Ids and names of groups that must not be mixed up with each other, or with anything inside the source. */
const ODD_NAMES = ['', 'a', 'a:b', '{a}', 'ünïcode 😀', 'with spaces\nand lines', '__proto__', 'group', '*', "'; --"]

/** Cases of sources that keep who fires, and what was fired. */
export function registerLedger({ contract, subject, source }: ScheduleCaseParts): void {
  if (source.ledger === undefined) return
  registerLead(contract)
  registerSave(contract)
  registerPause(contract)
  if (subject.peer !== undefined) registerPeers(contract)
}

function registerLead(contract: ScheduleCaseParts['contract']): void {
  contract('gives the lead to the first who asks, and lets it keep the lead', async (rig) => {
    const ledger = rig.ledger()

    expect(await ledger.lead(GROUP, 'a', LONG_MS)).toBe(0)
    expect(await ledger.lead(GROUP, 'a', LONG_MS)).toBe(0)
  })

  contract('refuses the lead to others, and says how long it lasts', async (rig) => {
    const ledger = rig.ledger()
    await ledger.lead(GROUP, 'a', LONG_MS)

    for (const _ of [1, 2]) {
      const leftMs = await ledger.lead(GROUP, 'b', 2 * LONG_MS)
      expect(leftMs).toBeGreaterThan(LONG_MS / 2)
      expect(leftMs).toBeLessThanOrEqual(LONG_MS)
    }
    expect(await ledger.lead(GROUP, 'a', LONG_MS)).toBe(0)
  })

  contract('counts the time of a lead from the last call', async (rig) => {
    const ledger = rig.ledger()
    await ledger.lead(GROUP, 'a', LONG_MS / 2)
    await ledger.lead(GROUP, 'a', LONG_MS)
    expect(await ledger.lead(GROUP, 'b', LONG_MS)).toBeGreaterThan(LONG_MS / 2)

    await ledger.lead(GROUP, 'a', LONG_MS / 2)

    expect(await ledger.lead(GROUP, 'b', LONG_MS)).toBeLessThanOrEqual(LONG_MS / 2)
  })

  contract('gives the lead to another when its time is over, and not before', async (rig) => {
    const ledger = rig.ledger()
    const askedAt = performance.now()
    await ledger.lead(GROUP, 'a', SHORT_MS)

    await until(async () => (await ledger.lead(GROUP, 'b', LONG_MS)) === 0, SOON)

    // The clock of the engine has its own milliseconds.
    expect(performance.now() - askedAt).toBeGreaterThan(SHORT_MS - 10)
    expect(await ledger.lead(GROUP, 'a', LONG_MS)).toBeGreaterThan(0)
  })

  contract('gives the lead again to one whose time was over', async (rig) => {
    const ledger = rig.ledger()
    await ledger.lead(GROUP, 'a', SHORT_MS)
    await until(() => save(ledger, 'a', { s: {} }).then((saved) => !saved), SOON)

    expect(await ledger.lead(GROUP, 'a', LONG_MS)).toBe(0)
    expect(await ledger.lead(GROUP, 'b', LONG_MS)).toBeGreaterThan(0)
  })

  contract('gives the lead to another after its holder resigned', async (rig) => {
    const ledger = rig.ledger()
    await ledger.lead(GROUP, 'a', LONG_MS)

    await ledger.resign(GROUP, 'a')

    expect(await ledger.lead(GROUP, 'b', LONG_MS)).toBe(0)
    expect(await ledger.lead(GROUP, 'a', LONG_MS)).toBeGreaterThan(0)
  })

  contract('changes nothing when somebody resigns who does not lead', async (rig) => {
    const ledger = rig.ledger()
    await ledger.resign(GROUP, 'a')
    await ledger.lead(GROUP, 'a', LONG_MS)

    await ledger.resign(GROUP, 'b')
    await ledger.resign('another group', 'a')

    expect(await ledger.lead(GROUP, 'b', LONG_MS)).toBeGreaterThan(0)
    expect(await save(ledger, 'a', { s: {} })).toBe(true)
  })

  contract('keeps groups apart, whatever their names', async (rig) => {
    const ledger = rig.ledger()

    for (const [i, name] of ODD_NAMES.entries()) {
      expect(await ledger.lead(name, `holder-${i}`, LONG_MS)).toBe(0)
      expect(await ledger.save(name, { name, holder: `holder-${i}` }, new Map([['s', { firedAt: i }]]))).toBe(true)
      if (i % 2 === 0) await ledger.pause(name, 's')
    }

    for (const [i, name] of ODD_NAMES.entries()) {
      expect(await ledger.lead(name, 'somebody else', LONG_MS)).toBeGreaterThan(0)
      expect(plain(await ledger.load(name))).toEqual([['s', { firedAt: i, isPaused: i % 2 === 0 }]])
    }
  })
}

function registerSave(contract: ScheduleCaseParts['contract']): void {
  contract('knows of no firings at first', async (rig) => {
    expect(await rig.ledger().load(GROUP)).toEqual(new Map())
  })

  contract('keeps what was fired, by the id of the schedule', async (rig) => {
    const ledger = rig.ledger()
    await ledger.lead(GROUP, 'a', LONG_MS)
    const states: Readonly<Record<string, FiredState>> = {
      both: { firedAt: 1_893_456_000_123, taskId: 'task: ü😀' },
      'a time alone': { firedAt: 1_893_456_000_000 },
      'a task alone': { taskId: 'task' },
      nothing: {},
      'only seen': { seenAt: 1_893_456_000_123 },
      'the epoch': { firedAt: 0 },
      'before the epoch': { firedAt: -1 },
      'the last time of all': { firedAt: 8_640_000_000_000_000 },
    }

    expect(await save(ledger, 'a', states)).toBe(true)

    const expected = Object.entries(states).map(([id, state]) => [id, { ...state, isPaused: false }])
    expect(plain(await ledger.load(GROUP))).toEqual(inOrder(expected))
  })

  contract('keeps what was fired by ids of all kinds', async (rig) => {
    const ledger = rig.ledger()
    await ledger.lead(GROUP, 'a', LONG_MS)

    await ledger.save(GROUP, { name: GROUP, holder: 'a' }, new Map(ODD_NAMES.map((id, i) => [id, { firedAt: i }])))

    const expected = ODD_NAMES.map((id, i) => [id, { firedAt: i, isPaused: false }])
    expect(plain(await ledger.load(GROUP))).toEqual(inOrder(expected))
  })

  contract('keeps what was fired of many schedules', async (rig) => {
    const ledger = rig.ledger()
    await ledger.lead(GROUP, 'a', LONG_MS)
    const changes = Array.from({ length: 2_000 }, (_, i) => [`schedule-${i}`, { firedAt: i, taskId: `${i}` }] as const)

    expect(await ledger.save(GROUP, { name: GROUP, holder: 'a' }, new Map(changes))).toBe(true)

    const states = await ledger.load(GROUP)
    expect(states.size).toBe(2_000)
    expect(states.get('schedule-1999')).toMatchObject({ firedAt: 1_999, taskId: '1999' })
  })

  contract('replaces what was fired before, and leaves the other schedules', async (rig) => {
    const ledger = rig.ledger()
    await ledger.lead(GROUP, 'a', LONG_MS)
    await save(ledger, 'a', { s: { firedAt: 1, taskId: 'first' }, other: { firedAt: 1 } })

    await save(ledger, 'a', { s: { firedAt: 2 } })

    expect(plain(await ledger.load(GROUP))).toEqual([
      ['other', { firedAt: 1, isPaused: false }],
      ['s', { firedAt: 2, isPaused: false }],
    ])
  })

  contract('forgets a schedule', async (rig) => {
    const ledger = rig.ledger()
    await ledger.lead(GROUP, 'a', LONG_MS)
    await save(ledger, 'a', { s: { firedAt: 1 }, other: { firedAt: 1 } })

    expect(await save(ledger, 'a', { s: undefined, 'never saved': undefined })).toBe(true)

    expect(plain(await ledger.load(GROUP))).toEqual([['other', { firedAt: 1, isPaused: false }]])
  })

  contract('saves nothing for one who does not lead', async (rig) => {
    const ledger = rig.ledger()
    expect(await save(ledger, 'a', { s: { firedAt: 1 } })).toBe(false)
    await ledger.lead(GROUP, 'b', LONG_MS)
    await save(ledger, 'b', { kept: { firedAt: 1 } })

    expect(await save(ledger, 'a', { s: { firedAt: 2 }, kept: undefined })).toBe(false)

    expect(plain(await ledger.load(GROUP))).toEqual([['kept', { firedAt: 1, isPaused: false }]])
  })

  contract('says who leads also when there is nothing to save', async (rig) => {
    const ledger = rig.ledger()
    await ledger.lead(GROUP, 'a', LONG_MS)

    expect([await save(ledger, 'a', {}), await save(ledger, 'b', {})]).toEqual([true, false])
  })

  contract('saves nothing after the time of the lead is over', async (rig) => {
    const ledger = rig.ledger()
    await ledger.lead(GROUP, 'a', SHORT_MS)
    let firedAt = 0

    await until(async () => !(await save(ledger, 'a', { s: { firedAt: (firedAt += 1) } })), SOON)

    expect((await ledger.load(GROUP)).get('s')?.firedAt).toBe(firedAt - 1)
  })

  contract('saves nothing for one who resigned, and shows to the next what it has fired', async (rig) => {
    const ledger = rig.ledger()
    await ledger.lead(GROUP, 'a', LONG_MS)
    await save(ledger, 'a', { s: { firedAt: 1, taskId: 'first' } })
    await ledger.resign(GROUP, 'a')

    expect(await save(ledger, 'a', { s: { firedAt: 2 } })).toBe(false)

    expect(await ledger.lead(GROUP, 'b', LONG_MS)).toBe(0)
    expect(plain(await ledger.load(GROUP))).toEqual([['s', { firedAt: 1, taskId: 'first', isPaused: false }]])
    expect(await save(ledger, 'b', { s: { firedAt: 2 } })).toBe(true)
  })
}

function registerPause(contract: ScheduleCaseParts['contract']): void {
  contract('pauses and resumes a schedule, whoever leads', async (rig) => {
    const ledger = rig.ledger()
    await ledger.pause(GROUP, 'never fired')
    await ledger.lead(GROUP, 'a', LONG_MS)
    await save(ledger, 'a', { s: { firedAt: 1, taskId: 'first' } })

    await ledger.pause(GROUP, 's')
    await ledger.pause(GROUP, 's')

    expect(plain(await ledger.load(GROUP))).toEqual([
      ['never fired', { isPaused: true }],
      ['s', { firedAt: 1, taskId: 'first', isPaused: true }],
    ])
    await ledger.resume(GROUP, 's')
    await ledger.resume(GROUP, 'never fired')
    await ledger.resume(GROUP, 'never paused')
    const states = await ledger.load(GROUP)
    expect(states.get('s')).toEqual({ firedAt: 1, taskId: 'first', isPaused: false })
    expect([...states.values()].some(({ isPaused }) => isPaused)).toBe(false)
  })

  contract('counts what is known of a schedule as not older than its resumption', async (rig) => {
    const ledger = rig.ledger()
    await ledger.lead(GROUP, 'a', LONG_MS)
    await save(ledger, 'a', {
      fired: { firedAt: 1_000, taskId: 'first' },
      seen: { seenAt: 1_000 },
      later: { firedAt: 9_000 },
    })

    for (const id of ['fired', 'seen', 'later', 'unknown']) {
      await ledger.pause(GROUP, id)
      await ledger.resume(GROUP, id, 5_000)
    }

    const states = await ledger.load(GROUP)
    expect(states.get('fired')).toEqual({ firedAt: 5_000, taskId: 'first', isPaused: false })
    expect(states.get('seen')).toEqual({ seenAt: 5_000, isPaused: false })
    expect(states.get('later')).toEqual({ firedAt: 9_000, isPaused: false })
    expect(states.get('unknown')?.isPaused ?? false).toBe(false)
  })

  contract('keeps what is known of a group whoever leads under whatever name', async (rig) => {
    const ledger = rig.ledger()
    for (const name of ['one', 'another']) {
      expect(await ledger.lead(name, name, LONG_MS)).toBe(0)
      expect(await ledger.save(GROUP, { name, holder: name }, new Map([[name, { firedAt: 1 }]]))).toBe(true)
    }

    expect(plain(await ledger.load(GROUP))).toEqual([
      ['another', { firedAt: 1, isPaused: false }],
      ['one', { firedAt: 1, isPaused: false }],
    ])
    expect(await ledger.save(GROUP, { name: 'one', holder: 'another' }, new Map())).toBe(false)
  })

  contract('keeps a schedule paused while it is saved', async (rig) => {
    const ledger = rig.ledger()
    await ledger.lead(GROUP, 'a', LONG_MS)
    await ledger.pause(GROUP, 's')

    await save(ledger, 'a', { s: { firedAt: 1 } })
    await save(ledger, 'a', { s: { firedAt: 2 }, other: { firedAt: 2 } })

    expect(plain(await ledger.load(GROUP))).toEqual([
      ['other', { firedAt: 2, isPaused: false }],
      ['s', { firedAt: 2, isPaused: true }],
    ])
  })

  contract('forgets the pause of a schedule with the rest', async (rig) => {
    const ledger = rig.ledger()
    await ledger.lead(GROUP, 'a', LONG_MS)
    await ledger.pause(GROUP, 's')
    await ledger.pause(GROUP, 'other')

    await save(ledger, 'a', { s: undefined })

    expect(plain(await ledger.load(GROUP))).toEqual([['other', { isPaused: true }]])
    await save(ledger, 'a', { s: { firedAt: 1 } })
    expect((await ledger.load(GROUP)).get('s')).toEqual({ firedAt: 1, isPaused: false })
  })
}

function registerPeers(contract: ScheduleCaseParts['contract']): void {
  contract('gives the lead to a peer only when it is free', async (rig) => {
    const [ledger, peer] = [rig.ledger(), rig.ledger(await rig.peer())]
    await ledger.lead(GROUP, 'a', LONG_MS)
    expect(await peer.lead(GROUP, 'b', LONG_MS)).toBeGreaterThan(LONG_MS / 2)

    await ledger.resign(GROUP, 'a')

    expect(await peer.lead(GROUP, 'b', LONG_MS)).toBe(0)
    expect(await ledger.lead(GROUP, 'a', LONG_MS)).toBeGreaterThan(LONG_MS / 2)
    expect(await save(ledger, 'a', { s: { firedAt: 1 } })).toBe(false)
  })

  contract('gives the lead to one of several who ask at once', async (rig) => {
    const ledgers = [rig.ledger(), rig.ledger(await rig.peer())]

    const asked = Array.from({ length: 10 }, (_, i) =>
      ledgers.map((ledger, j) => ledger.lead(GROUP, `holder-${i}-${j}`, LONG_MS)),
    )

    const answers = await Promise.all(asked.flat())
    expect(answers.filter((leftMs) => leftMs === 0)).toHaveLength(1)
  })

  contract('shows to a peer what was fired and what is paused', async (rig) => {
    const [ledger, peer] = [rig.ledger(), rig.ledger(await rig.peer())]
    await ledger.lead(GROUP, 'a', LONG_MS)
    await save(ledger, 'a', { s: { firedAt: 1_893_456_000_123, taskId: 'first' } })

    await peer.pause(GROUP, 's')

    const expected = [['s', { firedAt: 1_893_456_000_123, taskId: 'first', isPaused: true }]]
    expect(plain(await ledger.load(GROUP))).toEqual(expected)
    expect(plain(await peer.load(GROUP))).toEqual(expected)
  })
}

async function save(
  ledger: ScheduleLedger,
  holder: string,
  changes: Readonly<Record<string, FiredState | undefined>>,
): Promise<boolean> {
  return await ledger.save(GROUP, { name: GROUP, holder }, new Map(Object.entries(changes)))
}

/** As `toEqual` compares them, whatever their order. */
function plain(states: ReadonlyMap<string, ScheduleState>): readonly unknown[] {
  return inOrder([...states])
}

function inOrder(entries: readonly (readonly unknown[])[]): readonly unknown[] {
  return [...entries].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))
}
