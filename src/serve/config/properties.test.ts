import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'

import { withVariables } from './environment.ts'
import { SCHEMA } from './schema.ts'
import { mapTree, mergeMaps, plain } from './tree.ts'
import type { TreeMap } from './tree.ts'
import { overridesTree } from './value-tree.ts'
import { readYaml } from './yaml-tree.ts'

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
type JsonMap = Record<string, Json>

const key = fc.stringMatching(/^[a-z][a-z0-9]{0,5}(_[a-z0-9]{1,3})?$/)
const { map: maps } = fc.letrec<{ json: Json; map: JsonMap }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.oneof(fc.constant(null), fc.boolean(), fc.integer(), fc.string({ unit: 'grapheme' })),
    fc.array(tie('json'), { maxLength: 3 }),
    tie('map'),
  ),
  map: fc.dictionary(key, tie('json'), { maxKeys: 4, noNullPrototype: true }),
}))

const EMPTY = mapTree([], { from: 'default' })

function treeOf(value: JsonMap): TreeMap {
  return overridesTree(value, { expected: 'a map', read: () => undefined })
}

function isMap(value: Json | undefined): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What merging means, said as briefly as possible. */
function merged(base: JsonMap, later: JsonMap): JsonMap {
  const all = { ...base }
  for (const [name, value] of Object.entries(later)) {
    const before = all[name]
    all[name] = isMap(before) && isMap(value) ? merged(before, value) : value
  }
  return all
}

describe('merging', () => {
  it('gives what the later map says, and keeps what it does not speak of', () => {
    fc.assert(
      fc.property(maps, maps, (a, b) => {
        expect(plain(mergeMaps(treeOf(a), treeOf(b)))).toEqual(merged(a, b))
      }),
    )
  })

  it('changes nothing when repeated, or when one side is empty', () => {
    fc.assert(
      fc.property(maps, (value) => {
        const tree = treeOf(value)
        for (const one of [mergeMaps(tree, tree), mergeMaps(EMPTY, tree), mergeMaps(tree, EMPTY)]) {
          expect(plain(one)).toEqual(value)
        }
      }),
    )
  })
})

describe('a value', () => {
  it('comes back from a file', () => {
    fc.assert(
      fc.property(maps, (value) => {
        const { tree, problems } = readYaml(stringify(value), 'kiq.yaml')
        expect(problems).toEqual([])
        expect(tree === undefined ? undefined : plain(tree)).toEqual(value)
      }),
    )
  })

  it('comes back from variables of the environment, one for each', () => {
    fc.assert(
      fc.property(maps, maps, (before, value) => {
        const values = Object.fromEntries(
          Object.entries(value).map(([name, one]) => [
            `KIQ_MODEL_SETTINGS__COMMON__${name.toUpperCase()}`,
            stringify(one, { collectionStyle: 'flow', lineWidth: 0, defaultStringType: 'QUOTE_DOUBLE' }),
          ]),
        )
        const base = treeOf({ model_settings: { common: before } })
        expect(plain(withVariables(base, { values }, SCHEMA))).toEqual({
          model_settings: { common: merged(before, value) },
        })
      }),
    )
  })

  it('comes back from variables of the environment, one for each leaf', () => {
    fc.assert(
      fc.property(fc.dictionary(key, fc.dictionary(key, fc.integer(), { minKeys: 1 }), { minKeys: 1 }), (value) => {
        const values: Record<string, string> = {}
        for (const [name, inner] of Object.entries(value)) {
          for (const [leaf, one] of Object.entries(inner)) {
            values[`MODALKIT_model_settings__common__${name}__${leaf}`.toUpperCase()] = String(one)
          }
        }
        expect(plain(withVariables(EMPTY, { values }, SCHEMA))).toEqual({ model_settings: { common: { ...value } } })
      }),
    )
  })
})
