import { cleaned, isSecret } from '../config/secret-values.ts'
import type { ServeConfig } from '../config/settings.ts'
import { joinPath } from '../config/origin.ts'
import type { Problems } from './problems.ts'
import { quoted } from './text.ts'

/** Variables of a container, by where their values come from. */
export interface ContainerVariables {
  /** In the image. */
  readonly image: readonly (readonly [name: string, value: string])[]
  /** Given to containers, because no line of a Dockerfile can hold them. */
  readonly runtime: readonly (readonly [name: string, value: string])[]
  /** Values that are written nowhere. */
  readonly outside: readonly string[]
}

const NAME = /^[A-Za-z_][\w.-]*$/

const NEEDS_YAML = /[\x01-\x1f\x7f-\x9f\u2028\u2029\ufeff]/

const DEPLOYMENT = 'app_settings.deployment_config'
const ENV = 'app_settings.build_config.env'

/** Settings that the deployment files decide, so that variables with them are not handed on. */
const DECIDED_HERE: readonly string[] = [
  'app_settings.http_config.host',
  'app_settings.http_config.port',
  `${DEPLOYMENT}.min_containers`,
  `${DEPLOYMENT}.concurrency_limit`,
]

export interface VariableSources {
  readonly config: ServeConfig
  /** Names in `secrets` that are variables. */
  readonly secrets: readonly string[]
  readonly problems: Problems
}

export function variablesOf({ config, secrets, problems }: VariableSources): ContainerVariables {
  const image: (readonly [string, string])[] = []
  const runtime: (readonly [string, string])[] = []
  const outside = new Set<string>(secrets)
  for (const name of settingVariables(config, problems)) outside.add(name)
  for (const [name, value] of Object.entries(config.appSettings.buildConfig.env)) {
    const path = joinPath(ENV, name)
    if (!NAME.test(name)) {
      problems.add(path, 'is no name that a variable of a container can have. Use letters, digits and underscores.')
    } else if (isSecret(name, value) || cleaned(value) !== value) outside.add(name)
    else if (value.includes('\0')) problems.add(path, 'has a NUL character, which no variable can hold. Take it out.')
    else if (NEEDS_YAML.test(value)) runtime.push([name, value])
    else image.push([name, value])
  }
  const isGivenOutside = ([name]: readonly [string, string]): boolean => !outside.has(name)
  return { image: image.filter(isGivenOutside), runtime: runtime.filter(isGivenOutside), outside: [...outside] }
}

/** Variables that set something when the configuration was read. They may be secrets, so only their names are used. */
function settingVariables(config: ServeConfig, problems: Problems): ReadonlySet<string> {
  const names = new Set<string>()
  for (const [path, origin] of Object.entries(config.origins)) {
    if (origin.from !== 'environment' || DECIDED_HERE.includes(path)) continue
    if (NAME.test(origin.variable)) names.add(origin.variable)
    else {
      problems.add(
        path,
        `comes from the variable ${quoted(origin.variable)}, whose name no container can have. Set it in a file.`,
      )
    }
  }
  return names
}
