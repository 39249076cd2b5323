import type { ResultRecord } from '../../contract/index.ts'
import type { RedisArgument } from './client.ts'
import { argumentOf } from './client.ts'

/** Where results of a transport's settlements go; see `Transport.joins`. */
export interface ResultPlace {
  /** Stands before the task id in the key of a result. */
  readonly keyPrefix: string
  /** Stands before the last characters of the task id in the channel that tells of a result. */
  readonly channelPrefix: string
}

/** As the scripts take a result. */
export function pushResult(args: RedisArgument[], { taskId, ttlMs, body }: ResultRecord): void {
  args.push(taskId, ttlMs === undefined ? '' : Math.max(Math.ceil(ttlMs), 1), argumentOf(body))
}
