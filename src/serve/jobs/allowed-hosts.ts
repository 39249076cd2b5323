import { ConfigError } from '../../contract/index.ts'
import { show } from '../../util/show.ts'

const ANY_BELOW = '*.'

/**
 * Hosts by name: `example.com` is that one, `*.example.com` every one below it, but not itself. Names and addresses are
 * compared in the spelling that `URL` gives them.
 */
export class AllowedHosts {
  readonly #names: ReadonlySet<string>
  readonly #endings: readonly string[]

  /**
   * @param patterns - None: any host.
   * @throws {ConfigError} `KIQ_CONFIG_INVALID` for something that is no name of a host.
   */
  constructor(patterns: readonly string[]) {
    const names = patterns.map((pattern) => {
      const isEnding = pattern.startsWith(ANY_BELOW)
      const name = hostOf(isEnding ? pattern.slice(ANY_BELOW.length) : pattern, pattern)
      return { name, isEnding }
    })
    this.#names = new Set(names.filter(({ isEnding }) => !isEnding).map(({ name }) => name))
    this.#endings = names.filter(({ isEnding }) => isEnding).map(({ name }) => `.${name}`)
  }

  has({ hostname }: URL): boolean {
    if (this.#names.size + this.#endings.length === 0) return true
    const name = withoutDot(hostname)
    return this.#names.has(name) || this.#endings.some((ending) => name.endsWith(ending))
  }
}

function hostOf(name: string, pattern: string): string {
  const text = name.includes(':') && !name.startsWith('[') ? `[${name}]` : name
  // `URL` would take these as what is around a host.
  const isPlain = name !== '' && !/[\s/?#@\\*]/.test(name)
  const url = isPlain && URL.canParse(`http://${text}`) ? new URL(`http://${text}`) : undefined
  if (url?.hostname && url.port === '') return withoutDot(url.hostname)
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `${show(pattern)} is no host for webhooks. Use a name or an address without a port, or \`*.example.com\`.`,
  )
}

/** A name with the dot of the root at its end is the same one. */
function withoutDot(hostname: string): string {
  return hostname.endsWith('.') ? hostname.slice(0, -1) : hostname
}
