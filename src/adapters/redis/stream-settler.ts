import type { SettleOutcome, Settlement } from '../../contract/index.ts'
import type { RedisArgument } from './client.ts'
import { argumentOf } from './client.ts'
import type { RedisConnection } from './connection.ts'
import { RedisDelivery } from './delivery.ts'
import type { PlacedList } from '../../util/placed-list.ts'
import type { QueueKeys } from './keys.ts'
import type { Promoter } from './promoter.ts'
import { pushResult } from './result-place.ts'
import type { ResultPlace } from './result-place.ts'
import { ACK, SETTLE } from './scripts/settle.ts'
import { settleGroups } from './settle-groups.ts'
import type { GroupOutcome, SettleGroup } from './settle-groups.ts'
import type { StreamSender } from './stream-sender.ts'
import { timedArguments } from './stream-sender.ts'
import type { StreamSettings } from './stream-options.ts'

export interface StreamSettlerParts {
  readonly connection: RedisConnection
  readonly settings: StreamSettings
  readonly keysOf: (queue: string) => QueueKeys
  readonly sender: StreamSender
  readonly promoter: Promoter
  /** What this process holds. */
  readonly held: PlacedList<RedisDelivery>
  readonly results: () => ResultPlace
}

/** Writes outcomes: all of one session and queue in one script, with their results. */
export class StreamSettler {
  readonly #parts: StreamSettlerParts

  constructor(parts: StreamSettlerParts) {
    this.#parts = parts
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly SettleOutcome[]> {
    return await settleGroups(settlements, this.#parts.held, (group) => this.#settleGroup(group))
  }

  async #settleGroup(group: SettleGroup): Promise<GroupOutcome> {
    if (group.isPlain && (await this.#ack(group))) return 'all'
    return await this.#settleEach(group)
  }

  /** @returns False when the session is over: then each delivery has to be looked at. */
  async #ack({ queue, consumer, settlements }: SettleGroup): Promise<boolean> {
    const { connection, keysOf, settings, results } = this.#parts
    const { taken, leases } = keysOf(queue)
    const { keyPrefix, channelPrefix } = results()
    const ids: string[] = []
    const takenIds: string[] = []
    const saves: RedisArgument[] = []
    for (const settlement of settlements) {
      const { id, source } = RedisDelivery.of(settlement.delivery)
      if (source === 'q') ids.push(id)
      else takenIds.push(id)
      if (settlement.kind === 'ack' && settlement.result) pushResult(saves, settlement.result)
    }
    const header = [settings.group, consumer, settings.keep, keyPrefix, channelPrefix]
    const args = [...header, ids.length, ...ids, takenIds.length, ...takenIds, ...saves]
    return (await connection.run(ACK, [queue, taken, leases], args)) === 1
  }

  async #settleEach({ queue, consumer, settlements }: SettleGroup): Promise<readonly number[]> {
    const { connection, keysOf, settings, results } = this.#parts
    const { taken, wake, leases, dead } = keysOf(queue)
    const { keyPrefix, channelPrefix } = results()
    await this.#sendElsewhere(queue, settlements)
    const header = [settings.group, consumer, settings.keep, keyPrefix, channelPrefix, settings.deadLetterTtlMs]
    const args: RedisArgument[] = [...header]
    for (const settlement of settlements) {
      if ('result' in settlement && settlement.result) {
        args.push('save', '', '', '', 3)
        pushResult(args, settlement.result)
      }
      const { source, id, attempt } = RedisDelivery.of(settlement.delivery)
      const more = this.#argumentsOf(settlement)
      args.push(settlement.kind, source, id, attempt, more.length, ...more)
    }
    const outcomes = await connection.run(SETTLE, [queue, taken, wake, leases, dead], args)
    for (const settlement of settlements) {
      if (settlement.kind !== 'replace' || settlement.message.deliverAt === undefined) continue
      this.#parts.promoter.note(settlement.message.queue, settlement.message.deliverAt)
    }
    return outcomes as readonly number[]
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
        const { queue, leases, wake, delayed, priority, sequence } = this.#parts.keysOf(message.queue)
        return [...timedArguments(message), queue, leases, wake, delayed, priority, sequence]
      }
      case 'dead':
        return [argumentOf(delivery.body), settlement.reason, settlement.taskName ?? '', delivery.taskId ?? '']
      case 'ack':
      case 'release':
      case 'requeue':
        return []
    }
  }
}
