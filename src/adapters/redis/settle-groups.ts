import type { SettleOutcome, Settlement } from '../../contract/index.ts'
import { RedisDelivery } from './delivery.ts'
import type { PlacedList } from '../../util/placed-list.ts'

/** Settlements of one queue and one session. */
export interface SettleGroup {
  readonly queue: string
  readonly consumer: string
  readonly settlements: Settlement[]
  /** Of each. */
  readonly deliveries: RedisDelivery[]
  /** Of each in the call. */
  readonly positions: number[]
  /** Nothing but acknowledgements. */
  isPlain: boolean
}

/** Per settlement 1, or 0 for a delivery that belongs to somebody else; or one word for all. */
export type GroupOutcome = 'all' | 'none' | readonly number[]

/**
 * Settles group by group what this process holds. What it does not hold any more is stale, and so is what comes twice;
 * what is settled is not held any more.
 */
export async function settleGroups(
  settlements: readonly Settlement[],
  held: PlacedList<RedisDelivery>,
  settle: (group: SettleGroup) => Promise<GroupOutcome>,
): Promise<readonly SettleOutcome[]> {
  const outcomes = new Array<SettleOutcome>(settlements.length).fill('stale')
  const groups = groupsOf(settlements)
  await Promise.all(
    groups.map(async (group) => {
      const settled = await settle(group)
      for (const [i, position] of group.positions.entries()) {
        if (settled === 'all' || settled[i] === 1) outcomes[position] = 'settled'
      }
    }),
  )
  // Not before all groups are settled: when one fails, the call is made again, and must find the others here.
  for (const { deliveries } of groups) for (const delivery of deliveries) held.delete(delivery)
  return outcomes
}

let calls = 0

function groupsOf(settlements: readonly Settlement[]): readonly SettleGroup[] {
  const groups: SettleGroup[] = []
  calls += 1
  let last: SettleGroup | undefined
  for (const [position, settlement] of settlements.entries()) {
    const delivery = RedisDelivery.of(settlement.delivery)
    if (delivery.place < 0 || delivery.settling === calls) continue
    delivery.settling = calls
    const { queue, consumer } = delivery
    if (last?.queue !== queue || last.consumer !== consumer) {
      last = groups.find((group) => group.queue === queue && group.consumer === consumer)
      if (last === undefined) groups.push((last = emptyGroup(queue, consumer)))
    }
    last.settlements.push(settlement)
    last.deliveries.push(delivery)
    last.positions.push(position)
    if (settlement.kind !== 'ack') last.isPlain = false
  }
  return groups
}

function emptyGroup(queue: string, consumer: string): SettleGroup {
  return { queue, consumer, settlements: [], deliveries: [], positions: [], isPlain: true }
}
