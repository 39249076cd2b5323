import { createHash, timingSafeEqual } from 'node:crypto'

import { ConfigError } from '../../contract/index.ts'

/** `Headers` are such a thing. Names may be in any case. */
export interface HeaderSource {
  get(name: string): string | null
}

export interface CredentialsOptions {
  /** None: whoever asks is served. */
  readonly keys: readonly string[]
  /** Name of a header that holds a key and nothing else, such as `x-api-key`. */
  readonly header: string
  /** Whether the headers `Modal-Key` and `Modal-Secret` are taken, too, for a key of the form `<key>:<secret>`. */
  readonly acceptsModalPair: boolean
}

/** `open`: no key is needed. `missing`: one is, and none was given. */
export type CredentialCheck = 'open' | 'accepted' | 'missing' | 'wrong'

/** Digits of what {@link Credentials.callerOf} gives. */
const CALLER_DIGITS = 16

/**
 * The keys of a service. It holds digests only, so that no log and no error can show a key, and its comparisons take as
 * long for a key that is nearly right as for any other.
 */
export class Credentials {
  readonly #digests: readonly Buffer[]
  readonly #header: string
  readonly #acceptsModalPair: boolean

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for a key that is empty: everybody has that. */
  constructor({ keys, header, acceptsModalPair }: CredentialsOptions) {
    const empty = keys.indexOf('')
    if (empty >= 0) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        `API key ${empty + 1} of ${keys.length} is empty. Give it a value, or remove it.`,
      )
    }
    this.#digests = [...new Set(keys)].map((key) => digestOf(key))
    this.#header = header.toLowerCase()
    this.#acceptsModalPair = acceptsModalPair
  }

  /** Whether there are no keys. */
  get isOpen(): boolean {
    return this.#digests.length === 0
  }

  /** Where several keys are given, it is enough that one is right. */
  check(headers: HeaderSource): CredentialCheck {
    if (this.isOpen) return 'open'
    const given = this.#given(headers)
    if (given.length === 0) return 'missing'
    return this.#accepted(given) === undefined ? 'wrong' : 'accepted'
  }

  /**
   * Tells callers apart: a short hexadecimal text that is the same for the same key in every process, and does not contain
   * it. `open` where no key is needed, `none` for a request that {@link Credentials.check} refuses.
   */
  callerOf(headers: HeaderSource): string {
    if (this.isOpen) return 'open'
    const digest = this.#accepted(this.#given(headers))
    if (digest === undefined) return 'none'
    // Not a part of the digest itself: this text is kept with jobs, and there are lists of digests to look keys up in.
    return createHash('sha256').update('kiq caller\0').update(digest).digest('hex').slice(0, CALLER_DIGITS)
  }

  /** What a request gives as keys, in every form. */
  #given(headers: HeaderSource): readonly string[] {
    const given: string[] = []
    const bearer = /^bearer +(\S.*)$/i.exec(headers.get('authorization')?.trim() ?? '')?.[1]
    if (bearer !== undefined) given.push(bearer)
    const plain = headers.get(this.#header)?.trim() ?? ''
    if (plain !== '') given.push(plain)
    if (this.#acceptsModalPair) {
      const key = headers.get('modal-key')?.trim() ?? ''
      const secret = headers.get('modal-secret')?.trim() ?? ''
      if (key !== '' && secret !== '') given.push(`${key}:${secret}`)
    }
    return given
  }

  /** The digest of the key that is right. Everything is compared with everything, so that the time tells nothing. */
  #accepted(given: readonly string[]): Buffer | undefined {
    let accepted: Buffer | undefined
    for (const candidate of given.flatMap(candidatesOf)) {
      for (const digest of this.#digests) {
        if (timingSafeEqual(candidate, digest)) accepted = digest
      }
    }
    return accepted
  }
}

/** HTTP has bytes, which are read as Latin-1. What is beyond ASCII may have been sent so, or as UTF-8. */
function candidatesOf(text: string): readonly Buffer[] {
  const isAscii = Buffer.byteLength(text) === text.length
  return isAscii ? [digestOf(text)] : [digestOf(text), digestOf(Buffer.from(text, 'latin1'))]
}

function digestOf(key: string | Buffer): Buffer {
  return createHash('sha256').update(key).digest()
}
