import type {
  Logger,
  QueueDepth,
  ReceiveOptions,
  SettleOutcome,
  Settlement,
  TransportCapabilities,
  WireMessage,
} from '../../contract/index.ts'
import type { Search } from './canceller.ts'
import type { RedisConnection } from './connection.ts'
import type { LetterRetry } from './dead-letters.ts'
import type { RedisDelivery } from './delivery.ts'
import type { PlacedList } from '../../util/placed-list.ts'
import type { QueueKeys } from './keys.ts'
import type { Promoter } from './promoter.ts'
import type { ResultPlace } from './result-place.ts'
import type { Sessions, SessionScripts } from './sessions.ts'

export interface Sender {
  /** Makes a queue known, and whatever it needs before the first message. */
  declare(queue: string): Promise<void>
  send(messages: readonly WireMessage[], signal: AbortSignal | undefined): Promise<void>
}

export interface Settler {
  settle(settlements: readonly Settlement[]): Promise<readonly SettleOutcome[]>
}

export interface MessageReceiver {
  receive(options: ReceiveOptions): Promise<readonly RedisDelivery[]>
  close(): void
}

/** What is there between start and stop, for the parts of a layout. */
export interface ClientContext {
  readonly connection: RedisConnection
  readonly logger: Logger
  /** What this process holds. */
  readonly held: PlacedList<RedisDelivery>
  readonly results: () => ResultPlace
}

export interface ClientParts {
  readonly promoter: Promoter
  readonly sender: Sender
  readonly settler: Settler
  readonly search: Search
}

export interface WorkerContext extends ClientContext, ClientParts {
  readonly sessions: Sessions
}

/** A way to keep queues in Redis; {@link LeasedTransport} does the rest. */
export interface Layout {
  readonly name: string
  readonly capabilities: TransportCapabilities
  readonly leaseMs: number
  /** Set of all queues of this kind. */
  readonly queuesKey: string
  readonly keysOf: (queue: string) => QueueKeys
  readonly retry: LetterRetry
  readonly open: (context: ClientContext) => ClientParts
  readonly sessions: (connection: RedisConnection) => SessionScripts
  readonly openReceiver: (context: WorkerContext) => MessageReceiver
  /** Ends all sessions of a worker whose names begin so; returns how many messages others can have. */
  readonly endSessions: (connection: RedisConnection, keys: QueueKeys, beginning: string) => Promise<number>
  readonly depth: (connection: RedisConnection, keys: QueueKeys) => Promise<QueueDepth>
}
