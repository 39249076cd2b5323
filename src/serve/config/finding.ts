import { ConfigError } from '../../contract/index.ts'
import type { ConfigOrigin } from './origin.ts'

/** Something about one setting. */
export interface ConfigFinding {
  /** As in the YAML tree: `app_settings.batch_config.max_batch_size`. Empty for a whole file. */
  readonly path: string
  /** The place, where there is one: what is missing has none. */
  readonly origin: ConfigOrigin | undefined
  /** One or two sentences, with the place and the value. */
  readonly message: string
}

/** Why a configuration was refused. */
export type ConfigProblem = ConfigFinding

/** What is probably not meant, such as a key that nothing reads. */
export type ConfigWarning = ConfigFinding

/** A setting that was given and means something else here than on Modal. */
export interface ConfigNote extends ConfigFinding {
  /**
   * `translated`: it acts here, as the message says. `manifest`: only generated deployment files use it. `ignored`: it has
   * no effect.
   */
  readonly effect: 'translated' | 'manifest' | 'ignored'
}

/** The configuration cannot be used. The message lists every problem, one a line. */
export class ServeConfigError extends ConfigError {
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[]) {
    const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`
    super(
      'KIQ_CONFIG_INVALID',
      `The configuration has ${count}. Correct what is listed here:\n` +
        problems.map(({ message }) => `  ${message}`).join('\n'),
    )
    this.problems = problems
  }
}
