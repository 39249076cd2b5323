import { createRequire } from 'node:module'

import { ConfigError } from '../contract/index.ts'

const require = createRequire(import.meta.url)

/**
 * Loads an optional peer when a serializer is made, not when this package is imported.
 *
 * @throws {ConfigError} `KIQ_PEER_MISSING` with the install command.
 */
export function requirePeer(name: string, purpose: string): unknown {
  try {
    return require(name)
  } catch (error) {
    throw new ConfigError(
      'KIQ_PEER_MISSING',
      `${purpose} needs the package "${name}", which is not installed. Run \`npm install ${name}\`.`,
      { cause: error },
    )
  }
}

export function toBytes(body: string | Uint8Array): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body, 'utf8') : body
}
