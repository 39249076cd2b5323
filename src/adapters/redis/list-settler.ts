import type { SettleOutcome, Settlement } from '../../contract/index.ts'
import type { RedisArgument } from './client.ts'
import type { QueueKeys } from './keys.ts'
import type { ClientContext, Sender, Settler } from './layout.ts'
import { listArguments } from './list-sender.ts'
import type { Promoter } from './promoter.ts'
import { pushResult } from './result-place.ts'
import { ACK_ON_LIST, SETTLE_ON_LIST } from './scripts/list-settle.ts'
import { settleGroups } from './settle-groups.ts'
import type { GroupOutcome, SettleGroup } from './settle-groups.ts'

export interface ListSettlerParts extends ClientContext {
  readonly deadLetterTtlMs: number
  readonly keysOf: (queue: string) => QueueKeys
  readonly sender: Sender
  readonly promoter: Promoter
}

/** Writes outcomes: all of one session and queue in one script, with their results. */
export class ListSettler implements Settler {
  readonly #parts: ListSettlerParts

  constructor(parts: ListSettlerParts) {
    this.#parts = parts
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly SettleOutcome[]> {
    return await settleGroups(settlements, this.#parts.held, async (group): Promise<GroupOutcome> => {
      const isSettled = group.isPlain ? await this.#ack(group) : await this.#settleAll(group)
      return isSettled ? 'all' : 'none'
    })
  }

  async #ack({ queue, consumer, settlements, deliveries }: SettleGroup): Promise<boolean> {
    const { connection, keysOf, results } = this.#parts
    const { leases, held } = keysOf(queue)
    const { keyPrefix, channelPrefix } = results()
    const args: RedisArgument[] = [consumer, keyPrefix, channelPrefix, settlements.length]
    for (const { id } of deliveries) args.push(id)
    for (const settlement of settlements) {
      if (settlement.kind === 'ack' && settlement.result) pushResult(args, settlement.result)
    }
    return (await connection.run(ACK_ON_LIST, [leases, held + consumer], args)) === 1
  }

  async #settleAll({ queue, consumer, settlements, deliveries }: SettleGroup): Promise<boolean> {
    const { connection, keysOf, results, deadLetterTtlMs, promoter } = this.#parts
    const { leases, held, dead, attempts, ids } = keysOf(queue)
    const { keyPrefix, channelPrefix } = results()
    await this.#sendElsewhere(queue, settlements)
    const args: RedisArgument[] = [consumer, keyPrefix, channelPrefix, deadLetterTtlMs]
    for (const [i, settlement] of settlements.entries()) {
      if ('result' in settlement && settlement.result) {
        args.push('save', '', 3)
        pushResult(args, settlement.result)
      }
      const more = this.#argumentsOf(settlement)
      args.push(settlement.kind, deliveries[i]?.id ?? '', more.length, ...more)
    }
    const keys = [queue, leases, held + consumer, dead, attempts, ids]
    const isSettled = (await connection.run(SETTLE_ON_LIST, keys, args)) === 1
    for (const settlement of settlements) {
      if (settlement.kind !== 'replace' || settlement.message.deliverAt === undefined) continue
      promoter.note(settlement.message.queue, settlement.message.deliverAt)
    }
    return isSettled
  }

  /** In a cluster a message for a queue of another slot goes first: it may come twice then, but is never lost. */
  async #sendElsewhere(queue: string, settlements: readonly Settlement[]): Promise<void> {
    for (const settlement of settlements) {
      if (settlement.kind !== 'replace') continue
      const { message } = settlement
      if (this.#isElsewhere(queue, message.queue)) await this.#parts.sender.send([message], undefined)
      else await this.#parts.sender.declare(message.queue)
    }
  }

  #isElsewhere(queue: string, other: string): boolean {
    return this.#parts.connection.isCluster && queue !== other
  }

  #argumentsOf(settlement: Settlement): readonly RedisArgument[] {
    const { delivery } = settlement
    switch (settlement.kind) {
      case 'replace': {
        const { message } = settlement
        if (this.#isElsewhere(delivery.queue, message.queue)) return ['elsewhere']
        const { queue, delayed, sequence, attempts, ids } = this.#parts.keysOf(message.queue)
        return [...listArguments(message), queue, delayed, sequence, attempts, ids]
      }
      case 'dead':
        return [settlement.reason, settlement.taskName ?? '', delivery.taskId ?? '']
      case 'ack':
      case 'release':
      case 'requeue':
        return []
    }
  }
}
