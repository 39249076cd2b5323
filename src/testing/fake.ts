import { AssertionError } from 'node:assert'

import type { Key } from '../contract/index.ts'
import { nameOf } from '../di/keys.ts'

/**
 * A strict stand-in for a service: it has what it is given, and throws on whatever else is asked of it, instead of
 * answering with something made up.
 *
 * @param key - Says the type, and the name in messages.
 * @param stubs - The members that the test expects to be used.
 */
export function fake<T extends object>(key: Key<T>, stubs: Partial<T> = {}): T {
  const name = nameOf(key)
  return new Proxy(stubs, {
    get: (target, member, receiver) => {
      if (Reflect.has(target, member)) return Reflect.get(target, member, receiver) as unknown
      // Those who look whether it is a promise, closable or printable are told that it is not.
      if (typeof member === 'symbol' || UNASKED.includes(member)) return undefined
      throw new AssertionError({
        message: `${name}.${member} was used, and the test does not say what it is. Add it: fake(${name}, { ${member}: … }).`,
      })
    },
    set: (_target, member) => {
      throw new AssertionError({ message: `${name}.${String(member)} was set, and a fake does not change.` })
    },
  }) as T
}

/** Asked for by the language and by assertion libraries of everything. */
const UNASKED: readonly string[] = [
  'then',
  'toJSON',
  'constructor',
  'asymmetricMatch',
  'nodeType',
  'tagName',
  '$$typeof',
]
