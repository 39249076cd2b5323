import { ConfigError } from '../contract/index.ts'
import type { Key, MaybePromise, Provider, SchemaOutput, StandardSchema } from '../contract/index.ts'
import { formatIssue } from '../core/index.ts'
import { token } from './keys.ts'
import { module } from './module.ts'
import type { Module } from './module.ts'
import { bind } from './provider.ts'

export interface ConfigModuleOptions<S extends StandardSchema> {
  readonly schema: S
  /** What the schema reads, or a function that gets it. */
  readonly source: unknown
  /** Key of the whole. */
  readonly key?: Key<SchemaOutput<S>> | undefined
  /** Keys of its sections, by their names. */
  readonly sections?: { readonly [N in keyof SchemaOutput<S>]?: Key<SchemaOutput<S>[N]> } | undefined
  /**
   * In messages.
   *
   * @defaultValue `config`, with the names of the sections
   */
  readonly name?: string | undefined
}

/**
 * A module of settings that any Standard Schema has checked, each section under a key of its own. It is read once, before
 * the worker takes its first message; settings that do not fit stop the start.
 */
export function configModule<S extends StandardSchema>(options: ConfigModuleOptions<S>): Module {
  const { schema, source, key, sections = {} } = options
  const { name = `config(${Object.keys(sections).join(', ')})` } = options
  type Settings = SchemaOutput<S>
  const whole = key ?? token<Settings>(name)
  const providers: Provider[] = [
    bind<Settings>(whole, {
      create: async () => await read(schema, source, name),
      dispose: false,
    }),
  ]
  for (const [section, sectionKey] of Object.entries(sections) as [keyof Settings, Key | undefined][]) {
    if (sectionKey === undefined) continue
    providers.push(bind(sectionKey, { deps: { whole }, create: (deps) => deps.whole[section], dispose: false }))
  }
  return module(name, providers)
}

async function read(schema: StandardSchema, source: unknown, name: string): Promise<unknown> {
  const value = typeof source === 'function' ? await (source as () => MaybePromise<unknown>)() : source
  const outcome = await schema['~standard'].validate(value)
  if (outcome.issues === undefined) return outcome.value
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `The settings of "${name}" are not valid: ${outcome.issues.map(formatIssue).join('; ')}. Correct them and start again.`,
    { cause: outcome.issues },
  )
}
