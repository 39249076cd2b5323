import { ServeConfigError } from '../config/finding.ts'
import type { ConfigProblem } from '../config/finding.ts'
import { DEFAULT_ORIGIN, originText } from '../config/origin.ts'
import type { ConfigOrigin } from '../config/origin.ts'
import type { ServeConfig } from '../config/settings.ts'

/** Collects what no deployment file can express. */
export class Problems {
  readonly #found: ConfigProblem[] = []
  readonly #origins: ServeConfig['origins']

  constructor(origins: ServeConfig['origins']) {
    this.#origins = origins
  }

  /** @param path - As in the YAML tree. */
  add(path: string, what: string): void {
    const origin = this.#originOf(path)
    this.#found.push({ path, origin, message: `${originText(origin)}: ${path} ${what}` })
  }

  /** Items of lists have no place of their own, so it is that of what they are in. */
  #originOf(path: string): ConfigOrigin {
    let known = path
    while (known !== '') {
      const origin = this.#origins[known]
      if (origin !== undefined) return origin
      known = known.replace(/(^|[.[])[^.[]*$/, '')
    }
    return DEFAULT_ORIGIN
  }

  /** @throws {ServeConfigError} when there is any. */
  check(): void {
    if (this.#found.length > 0) throw new ServeConfigError(this.#found)
  }
}
