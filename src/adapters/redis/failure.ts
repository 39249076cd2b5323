import { BrokerError, ConfigError, KiqError } from '../../contract/index.ts'
import type { RedisArgument } from './client.ts'

/**
 * What an error of the driver or of the server means, with the remedy.
 *
 * @param key - The first key of the command that failed: that of the queue, mostly.
 */
export function redisFailure(shown: string, error: unknown, key?: string): KiqError {
  if (KiqError.is(error)) return error
  const text = textOf(error)
  const sentence = `Redis at ${shown} ${sentenceOf(text, key)}`
  if (isCredentialError(error)) return new ConfigError('KIQ_CONFIG_INVALID', sentence, { cause: error })
  return new BrokerError('KIQ_TRANSPORT_FAILED', sentence, { cause: error })
}

/** No retry helps: the configuration is wrong. */
export function isCredentialError(error: unknown): boolean {
  return /\b(?:WRONGPASS|NOAUTH|NOPERM)\b|invalid (?:username-)?password|without any password configured/i.test(
    textOf(error),
  )
}

/** The connection is gone, or was never there; the outcome of what was under way is not known. */
export function isConnectionError(error: unknown): boolean {
  return (
    /Connection is closed|Stream isn't writeable|max retries per request|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN/i.test(
      textOf(error),
    ) ||
    /^(?:LOADING|CLUSTERDOWN|MASTERDOWN|TRYAGAIN)\b/.test(textOf(error)) ||
    /All sentinels are unreachable|Too many Cluster redirections|Cluster isn't ready|Failed to refresh slots cache|Command timed out/i.test(
      textOf(error),
    )
  )
}

/** The stream has no such consumer group: it was deleted, or everything was flushed. */
export function isMissingGroup(error: unknown): boolean {
  return /NOGROUP|UNBLOCKED the stream key no longer exists/.test(textOf(error))
}

/** `maxmemory` is reached: what could make the data grow is refused. */
export function isOutOfMemory(error: unknown): boolean {
  return textOf(error).startsWith('OOM')
}

export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The first key of a command, as messages name it. */
export function keyOf(command: string, args: readonly RedisArgument[]): string | undefined {
  const at = command === 'XREADGROUP' ? args.indexOf('STREAMS') + 1 : command === 'XGROUP' ? 1 : 0
  const key = args[at]
  return typeof key === 'string' ? key : undefined
}

function sentenceOf(text: string, key?: string): string {
  if (text.includes('READONLY')) {
    return (
      'is a replica and takes no writes (READONLY). Connect to the master, or use redis+sentinel://…/name, which ' +
      'follows it.'
    )
  }
  if (text.includes('OOM')) {
    return (
      'is out of memory (OOM, `maxmemory`) and takes no writes. Nothing was changed. Give it more memory, or let ' +
      'results expire sooner; Kiq then goes on without a restart.'
    )
  }
  if (text.includes('WRONGTYPE')) {
    const where = key === undefined ? 'at a key of this queue' : `at the key "${key}", or at one of that queue`
    return `holds something else ${where} (${text}). Use another \`queueName\`, or remove what is there.`
  }
  if (/unknown (?:redis )?command/i.test(text)) {
    return `does not know a command that Kiq needs (${text}). Use Redis 6.2 or newer.`
  }
  if (text.includes('CROSSSLOT')) {
    return `is a cluster, and the keys of this queue lie in different slots (${text}). Take braces out of its name.`
  }
  if (isCredentialError(text)) {
    return `refuses these credentials (${text}). Check user and password in \`url\`, and the user's ACL.`
  }
  if (isConnectionError(text)) return `cannot be reached (${text}). Is it running, and is the address right?`
  return `failed: ${text}. See \`cause\`.`
}
