import type { SettleOutcome, Settlement } from '../../contract/index.ts'
import { forgetRequests } from './cancellations.ts'
import type { Database } from './database.ts'
import { SqliteDelivery } from './delivery.ts'
import type { MessageStore } from './message-store.ts'
import type { ResultStore } from './result-store.ts'

export interface SettleParts {
  readonly database: Database
  readonly messages: MessageStore
  readonly results: ResultStore
  readonly deadLetterTtlMs: number
}

/** Applies settlements, in a transaction of the caller. What is stale changes nothing. */
export function settleAll(parts: SettleParts, settlements: readonly Settlement[], now: number): SettleOutcome[] {
  const ended: string[] = []
  const outcomes = settlements.map((settlement): SettleOutcome => {
    const delivery = SqliteDelivery.of(settlement.delivery)
    if (!settle(parts, settlement, now)) return 'stale'
    if (settlement.kind === 'ack' || settlement.kind === 'dead') ended.push(delivery.taskId)
    if ('result' in settlement && settlement.result) parts.results.save(settlement.result, now)
    return 'settled'
  })
  forgetRequests(parts.database, ended)
  return outcomes
}

/** @returns Whether the delivery was still ours. */
function settle({ messages, deadLetterTtlMs }: SettleParts, settlement: Settlement, now: number): boolean {
  const delivery = SqliteDelivery.of(settlement.delivery)
  switch (settlement.kind) {
    case 'ack':
      return messages.remove(delivery)
    case 'replace':
      if (!messages.remove(delivery)) return false
      messages.insert(settlement.message)
      return true
    case 'release':
      return messages.release(delivery)
    case 'requeue':
      return messages.requeue(delivery)
    case 'dead':
      return messages.bury(delivery, {
        reason: settlement.reason,
        taskName: settlement.taskName,
        now,
        ttlMs: deadLetterTtlMs,
      })
  }
}
