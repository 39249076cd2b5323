import { ConfigError } from '../../contract/index.ts'
import { show } from '../../util/show.ts'

/**
 * Text of an option, which may come from a file.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` for another type.
 */
export function textOption(name: string, value: string | undefined, fallback: string): string {
  if (value === undefined) return fallback
  if (typeof value === 'string') return value
  throw new ConfigError('KIQ_CONFIG_INVALID', `\`${name}\` is ${show(value)}. Use text.`)
}

/** Whether something that came without types is an object with these methods. */
export function hasMethods(value: unknown, ...methods: readonly string[]): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  return methods.every((method) => typeof (value as Readonly<Record<string, unknown>>)[method] === 'function')
}
