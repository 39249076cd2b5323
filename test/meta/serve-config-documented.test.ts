import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { loadServeConfig } from '../../src/serve/config/index.ts'
import type { Reader } from '../../src/serve/config/reader.ts'
import { SCHEMA } from '../../src/serve/config/schema.ts'
import { isPlainObject } from '../../src/serve/config/tree.ts'
import { snakeCase } from '../../src/serve/config/value-tree.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/serving-config.md'), 'utf8')

/** Path of a key → its default as the page writes it. */
type Keys = Readonly<Record<string, string>>

describe('docs/serving-config.md', () => {
  it('has every key of the schema with its default, and no other', async () => {
    const deployment = 'KIQ_APP_SETTINGS__DEPLOYMENT_CONFIG'
    const config = await loadServeConfig([], {
      env: {
        KIQ_APP_SETTINGS__APP_PREFIX: 'given',
        [`${deployment}__MOUNTS`]: '[{ local_path: given, remote_path: given }]',
        [`${deployment}__CLOUD_BUCKET_MOUNTS`]: '[{ mount_point: given, bucket_name: given }]',
        KIQ_MODEL_SETTINGS__MODEL_ENTRIES: '{ given: {} }',
      },
    })

    expect(keysOfPage()).toEqual(Object.fromEntries(keysOf(SCHEMA, config, '')))
  })
})

/** @param value - What is there when nothing is set but what has to be. */
function keysOf(reader: Reader<unknown>, value: unknown, path: string): readonly (readonly [string, string])[] {
  if (reader.fields !== undefined && isPlainObject(value)) {
    const values = new Map(Object.entries(value).map(([key, one]) => [snakeCase(key), one]))
    return [...reader.fields].flatMap(([name, one]) =>
      keysOf(one, values.get(name), path === '' ? name : `${path}.${name}`),
    )
  }
  if (reader.element !== undefined && Array.isArray(value)) return keysOf(reader.element, value[0], `${path}[]`)
  if (value === 'given' || (isPlainObject(value) && 'given' in value)) return [[path, 'required']]
  return [[path, typeof value === 'string' ? value : JSON.stringify(value)]]
}

/** From the tables below the headings that are sections of the file: the key is in the first column, the default in the third. */
function keysOfPage(): Keys {
  const [, all = ''] = /^## All keys\n(?<body>[^]*?)^## /m.exec(page) ?? []
  const sections = all.split(/^### /m).slice(1)
  return Object.fromEntries(
    sections.flatMap((section) => {
      const heading = /^`(?<path>.+)`\n/.exec(section)?.groups?.['path']
      const rows = section.matchAll(/^\| `(?<key>\w+)` +\|[^|]+\| (?<given>[^|]+?) +\|/gm)
      return [...rows].map(({ groups }): [string, string] => {
        const key = groups?.['key'] ?? ''
        return [heading === undefined ? key : `${heading}.${key}`, (groups?.['given'] ?? '').replaceAll('`', '')]
      })
    }),
  )
}
