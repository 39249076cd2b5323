import { ConfigError } from '../contract/index.ts'

/** Tasks ask for dependencies, and nobody has any. */
export function notSetUp(taskNames: readonly string[]): ConfigError {
  return new ConfigError(
    'KIQ_DI_NOT_SET_UP',
    `The task(s) ${taskNames.join(', ')} declare \`deps\`, but the broker has no container. Call ` +
      "`setupInjection(broker, container)` of 'kiq/di' in the module that makes the broker.",
  )
}
