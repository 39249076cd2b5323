import { isNull } from './reader.ts'
import type { Reader } from './reader.ts'
import { mapTree } from './tree.ts'
import type { Tree, TreeEntry, TreeMap } from './tree.ts'

/**
 * A layer as it is merged: without sections that are empty (`batch_config:` alone says nothing, and takes nothing away from
 * weaker layers), and with one name for API keys.
 */
export function normalized(layer: TreeMap, schema: Reader<unknown>): TreeMap {
  return joinApiKeys(withoutEmptySections(layer, schema))
}

function withoutEmptySections(map: TreeMap, schema: Reader<unknown>): TreeMap {
  const entries = new Map<string, TreeEntry>()
  for (const [key, entry] of map.entries) {
    const reader = schema.fields?.get(key)
    if (reader?.fields === undefined) entries.set(key, entry)
    else if (entry.value.kind === 'map') {
      entries.set(key, { ...entry, value: withoutEmptySections(entry.value, reader) })
    } else if (!isNull(entry.value)) entries.set(key, entry)
  }
  return mapTree(entries, map.origin)
}

/**
 * `api_key` is another name of `api_keys`. Each layer is brought to the one name before layers are merged: a stronger layer
 * then replaces the keys of the weaker ones, whichever name it uses.
 */
function joinApiKeys(layer: TreeMap): TreeMap {
  return changed(layer, 'app_settings', (app) => changed(app, 'auth_config', withOneName))
}

function changed(map: TreeMap, key: string, change: (below: TreeMap) => TreeMap): TreeMap {
  const entry = map.entries.get(key)
  if (entry?.value.kind !== 'map') return map
  const value = change(entry.value)
  return value === entry.value ? map : mapTree(new Map(map.entries).set(key, { ...entry, value }), map.origin)
}

function withOneName(auth: TreeMap): TreeMap {
  const single = auth.entries.get('api_key')
  if (single === undefined) return auth
  const entries = new Map(auth.entries)
  entries.delete('api_key')
  const several = entries.get('api_keys')
  return mapTree(entries.set('api_keys', several === undefined ? single : joined(several, single)), auth.origin)
}

function joined(several: TreeEntry, single: TreeEntry): TreeEntry {
  const items = [...itemsOf(several.value), ...itemsOf(single.value)]
  return { ...several, value: { kind: 'list', items, origin: several.value.origin } }
}

function itemsOf(value: Tree): readonly Tree[] {
  if (value.kind === 'list') return value.items
  return value.kind === 'scalar' && value.value === null ? [] : [value]
}

/** The keys in the text of a key file. */
export function keysInText(text: string): readonly string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}
