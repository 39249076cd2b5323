import { expect } from 'vitest'

import { sleep } from '../../util/abort.ts'
import { until } from '../until.ts'
import type { CaseParts } from './transport.ts'
import { PATIENCE_MS, factsOf } from './transport-rig.ts'

/** Cases of leases: who holds a message, for how long, and what the others may do. All need a peer. */
export function registerLeases({ contract, subject, transport }: CaseParts): void {
  if (!transport.capabilities.redelivers || subject.peer === undefined) return
  if (transport.reclaim) registerReclaim({ contract, subject })
  if (subject.crash) registerCrash({ contract, subject, transport })
  if (subject.leaseMs !== undefined) registerRenewal(contract, subject.leaseMs)
}

function registerReclaim({ contract, subject }: Pick<CaseParts, 'contract' | 'subject'>): void {
  contract('gives what a dead worker held to others at once when it is reclaimed', async (rig) => {
    const other = await rig.peer()
    await rig.send('a', 'b', 'waiting')
    await rig.take(2)

    expect(await other.transport.reclaim?.(rig.main.workerId)).toBe(2)

    const withinMs = Math.max(500, 0.6 * (subject.leaseMs ?? PATIENCE_MS))
    const deliveries = await rig.take(3, { from: other, withinMs })
    expect(deliveries.map(factsOf).sort()).toEqual([
      ['a', 2],
      ['b', 2],
      ['waiting', 1],
    ])
    expect(await rig.ack(deliveries, other)).toEqual(['settled', 'settled', 'settled'])
  })

  contract('reclaims nothing from a worker that holds nothing', async (rig) => {
    const other = await rig.peer()
    await rig.send('a')
    const delivery = await rig.takeOne()

    expect(await other.transport.reclaim?.('nobody')).toBe(0)
    expect(await rig.ack([delivery])).toEqual(['settled'])
    expect(await other.transport.reclaim?.(rig.main.workerId)).toBe(0)
  })

  contract('refuses every settlement of a delivery that went to another', async (rig) => {
    const other = await rig.peer()
    await rig.send('1', '2', '3', '4', '5')
    const [ack, replace, release, requeue, dead] = await rig.take(5)
    if (!ack || !replace || !release || !requeue || !dead) return expect.fail('take(5) gave fewer')
    await other.transport.reclaim?.(rig.main.workerId)
    const taken = await rig.take(5, { from: other })

    const outcomes = await rig.main.transport.settle([
      { kind: 'ack', delivery: ack },
      { kind: 'replace', delivery: replace, message: rig.message('replacement') },
      { kind: 'release', delivery: release },
      { kind: 'requeue', delivery: requeue },
      { kind: 'dead', delivery: dead, reason: 'Given up.' },
    ])

    expect(outcomes).toEqual(['stale', 'stale', 'stale', 'stale', 'stale'])
    await rig.expectQuiet()
    expect(await rig.ack(taken, other)).toEqual(['settled', 'settled', 'settled', 'settled', 'settled'])
  })

  contract('refuses a settlement after the reclaim, also when nobody has taken the message yet', async (rig) => {
    const other = await rig.peer()
    await rig.send('a')
    const delivery = await rig.takeOne()
    await other.transport.reclaim?.(rig.main.workerId)

    expect(await rig.ack([delivery])).toEqual(['stale'])
    expect(factsOf(await rig.takeOne({ from: other }))).toEqual(['a', 2])
  })

  contract('tells the holder that it lost its lease', async (rig) => {
    const other = await rig.peer()
    await rig.send('lost', 'lost too')
    const deliveries = await rig.take(2)
    await other.transport.reclaim?.(rig.main.workerId)
    await rig.take(2, { from: other })

    await until(() => deliveries.every((delivery) => rig.main.lost.includes(delivery)), { timeoutMs: PATIENCE_MS })

    expect(other.lost).toEqual([])
  })
}

function registerCrash({ contract, subject, transport }: CaseParts): void {
  // An engine that notices the broken connection needs no lease; then the patience is the limit.
  const withinMs = subject.leaseMs === undefined ? PATIENCE_MS : subject.leaseMs * 1.5
  const caseTimeoutMs = 4 * withinMs + 30_000

  contract(
    'gives the messages of a crashed worker to others within the lease',
    async (rig) => {
      const other = await rig.peer()
      await rig.send('a', 'b')
      await rig.take(2)

      await rig.crash(rig.main)

      const deliveries = await rig.take(2, { from: other, withinMs })
      expect(deliveries.map(factsOf).sort()).toEqual([
        ['a', 2],
        ['b', 2],
      ])
      expect(await rig.ack(deliveries, other)).toEqual(['settled', 'settled'])
    },
    caseTimeoutMs,
  )

  contract(
    'gives the messages of a crashed worker to one that starts later',
    async (rig) => {
      const late = await rig.unstarted(subject.peer?.(rig.main.transport))
      await rig.send('a')
      await rig.takeOne()
      await rig.crash(rig.main)

      await rig.start(late)

      expect(factsOf(await rig.takeOne({ from: late, withinMs }))).toEqual(['a', 2])
    },
    caseTimeoutMs,
  )

  contract(
    'does not deliver again what a crashed worker had settled',
    async (rig) => {
      const other = await rig.peer()
      await rig.send('done', 'held')
      const [done] = await rig.take(2)
      await rig.ack(done ? [done] : [])

      await rig.crash(rig.main)

      expect(factsOf(await rig.takeOne({ from: other, withinMs }))).toEqual(['held', 2])
      await rig.expectQuiet({ from: other })
    },
    caseTimeoutMs,
  )

  contract(
    'takes no late settlement of a crashed worker',
    async (rig) => {
      const other = await rig.peer()
      await rig.send('a')
      const delivery = await rig.takeOne()
      await rig.crash(rig.main)
      const taken = await rig.takeOne({ from: other, withinMs })

      // A process that was only cut off answers stale; one that is really gone rejects, or never answers.
      const late = rig.main.transport.settle([{ kind: 'replace', delivery, message: rig.message('too late') }])
      const outcome = await Promise.race([late.catch(() => ['rejected']), sleep(1_000).then(() => ['silent'])])

      expect([['stale'], ['rejected'], ['silent']]).toContainEqual(outcome)
      await rig.expectQuiet({ from: other })
      expect(await rig.ack([taken], other)).toEqual(['settled'])
    },
    caseTimeoutMs,
  )

  if (transport.reclaim === undefined) return

  contract('gives the messages of a crashed worker to others at once when it is reclaimed', async (rig) => {
    const other = await rig.peer()
    await rig.send('a')
    await rig.takeOne()
    await rig.crash(rig.main)

    expect(await other.transport.reclaim?.(rig.main.workerId)).toBe(1)

    const soonMs = Math.max(500, 0.6 * (subject.leaseMs ?? PATIENCE_MS))
    expect(factsOf(await rig.takeOne({ from: other, withinMs: soonMs }))).toEqual(['a', 2])
  })
}

function registerRenewal(contract: CaseParts['contract'], leaseMs: number): void {
  const caseTimeoutMs = 6 * leaseMs + 30_000

  contract(
    'renews the lease of a delivery while its holder lives',
    async (rig) => {
      const other = await rig.peer()
      await rig.send('long')
      const delivery = await rig.takeOne()

      await rig.expectQuiet({ from: other, withinMs: 2.2 * leaseMs })

      expect([await rig.ack([delivery]), rig.main.lost]).toEqual([['settled'], []])
    },
    caseTimeoutMs,
  )

  contract(
    'renews the lease while the event loop is blocked',
    async (rig) => {
      const other = await rig.peer()
      await rig.send('blocking')
      const delivery = await rig.takeOne()

      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2.2 * leaseMs)

      await rig.expectQuiet({ from: other, withinMs: leaseMs / 2 })
      expect([await rig.ack([delivery]), rig.main.lost]).toEqual([['settled'], []])
    },
    caseTimeoutMs,
  )
}
