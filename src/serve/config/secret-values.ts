import { isPlainObject } from './tree.ts'

const MASK = '***'

/** Names under which the user's own maps may hold what nobody should see. */
const SECRET_NAME =
  /(^|[_-])(password|passwd|passphrase|secret|credentials?|(api|access|private|secret)[_-]?key|(api|auth|access)[_-]?token)s?$/i

/** `HF_TOKEN`, but not `pad_token`. */
const TOKEN_VARIABLE = /(^|_)TOKEN$/

/** Whether what stands under this name is not to be shown. */
export function isSecret(key: string, value: unknown): boolean {
  return !isPlainObject(value) && (SECRET_NAME.test(key) || TOKEN_VARIABLE.test(key))
}

export function masked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(() => MASK)
  return value === null ? null : MASK
}

/** Without secrets that it holds: `redis://:word@host` becomes `redis://:***@host`. */
export function cleaned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(cleaned)
  if (isPlainObject(value)) {
    const entries = Object.entries(value)
    return Object.fromEntries(entries.map(([key, one]) => [key, isSecret(key, one) ? masked(one) : cleaned(one)]))
  }
  return typeof value === 'string' ? value.replace(/(:\/\/[^/\s:@]*:)[^/\s@]+@/, `$1${MASK}@`) : value
}
