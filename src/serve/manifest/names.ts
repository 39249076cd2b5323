import { createHash } from 'node:crypto'

/** Leaves room for what Kubernetes and we append: a label has 63 characters. */
const MAX_LENGTH = 40

/** A name that Kubernetes, Compose and DNS take: lower case letters, digits and hyphens, a letter first. */
export function dnsName(text: string): string {
  const name = text
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}/gu, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
  const lettered = /^[a-z]/.test(name) ? name : `kiq-${name}`.replace(/-$/, '')
  if (lettered.length <= MAX_LENGTH) return lettered
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 6)
  return `${lettered.slice(0, MAX_LENGTH - hash.length - 1).replace(/-+$/, '')}-${hash}`
}

/** Gives each text a DNS name of its own, and the same text always the same one. */
export class Names {
  readonly #given = new Map<string, string>()
  readonly #taken = new Set<string>()

  /** @param kind - Texts of different kinds are different, also where they are the same. */
  of(text: string, kind = ''): string {
    const key = `${kind}\0${text}`
    const before = this.#given.get(key)
    if (before !== undefined) return before
    const base = dnsName(text)
    let name = base
    for (let count = 2; this.#taken.has(name); count += 1) name = `${base}-${count}`
    this.#taken.add(name)
    this.#given.set(key, name)
    return name
  }
}

/** Gives each path a key that a Secret may have; Compose takes it as the name of a secret too. */
export class FileKeys {
  readonly #taken = new Set<string>()

  next(path: string): string {
    const base = (path.split('/').at(-1) ?? '').replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^[.-]+/, '') || 'file'
    const short = base.slice(-MAX_LENGTH).replace(/^[.-]+/, '') || 'file'
    let key = short
    for (let count = 2; this.#taken.has(key); count += 1) key = `${count}-${short}`
    this.#taken.add(key)
    return key
  }
}
