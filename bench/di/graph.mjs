import assert from 'node:assert/strict'

import { bind, createContainer, token } from 'kiq/di'

const FAN_OUT = 4

/**
 * A tree of providers, each on four others and on one that all share: scoped at the top, then transients, and singletons
 * below.
 *
 * @param {number} count
 */
export function tree(count) {
  const shared = token('shared')
  const keys = Array.from({ length: count - 1 }, (_, i) => token(`node ${i}`))
  const providers = keys.map((key, i) => {
    const below = Array.from({ length: FAN_OUT }, (_, k) => keys[i * FAN_OUT + k + 1]).filter(
      (one) => one !== undefined,
    )
    const deps = Object.fromEntries([shared, ...below].map((one, k) => [`dep${k}`, one]))
    return bind(key, { scope: scopeOf(i, count), deps, create: () => ({}) })
  })
  return [bind(shared, { value: {} }), ...providers]
}

/**
 * Nothing reaches up, so no singleton holds what ends with a task.
 *
 * @param {number} i
 * @param {number} count
 */
function scopeOf(i, count) {
  if (i < count / 20) return 'scoped'
  return i < count / 5 ? 'transient' : 'singleton'
}

/**
 * Milliseconds from the providers to the list of problems, in a container of its own.
 *
 * @param {readonly import('kiq/di').Provider[]} providers
 */
export function timeValidation(providers) {
  const startedAt = performance.now()
  const problems = createContainer({ providers }).validate()
  const ms = performance.now() - startedAt
  assert.deepEqual(problems, [])
  return ms
}
