import type { WireMessage } from '../../contract/index.ts'
import type { RedisArgument } from './client.ts'

/** Whether some are sent once: then all go together by a script that knows of it, in their order. */
export function hasOnce(messages: readonly WireMessage[]): boolean {
  return messages.some(({ once }) => once !== undefined)
}

/** The keys under which it is remembered, for those messages that are sent once. */
export function onceKeys(prefix: string, messages: readonly WireMessage[]): readonly string[] {
  return messages.flatMap(({ once }) => (once === undefined ? [] : [prefix + once.key]))
}

/** What is remembered, and how long, as the scripts take it: nothing for a message that is just sent. */
export function onceArguments({ once }: WireMessage): readonly RedisArgument[] {
  return once === undefined ? ['', ''] : [Math.ceil(once.at), Math.max(1, Math.ceil(once.ttlMs))]
}
