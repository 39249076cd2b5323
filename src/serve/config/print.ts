import { Document, isCollection, isNode, YAMLMap, YAMLSeq } from 'yaml'
import type { Node } from 'yaml'

import { DEFAULT_ORIGIN, joinPath, originText } from './origin.ts'
import type { Reader } from './reader.ts'
import { SCHEMA } from './schema.ts'
import { cleaned, isSecret, masked } from './secret-values.ts'
import type { ServeConfig } from './settings.ts'
import { isPlainObject } from './tree.ts'
import { snakeCase } from './value-tree.ts'

/**
 * The settings in effect as YAML, each with where it comes from as a comment. API keys are masked, and so are passwords in
 * URLs and texts in `common`, `model_entries` and `env` under a name such as `api_key` or `password`.
 */
export function printConfig(config: ServeConfig): string {
  const document = new Document()
  document.contents = new Printer(config).node(config, '', SCHEMA)
  const read = config.files.length === 0 ? 'no file' : config.files.join(', ')
  document.commentBefore = ` ${config.appName}: ${read}`
  return document.toString({ lineWidth: 0 })
}

class Printer {
  readonly #document = new Document()
  readonly #config: ServeConfig

  constructor(config: ServeConfig) {
    this.#config = config
  }

  node(value: unknown, path: string, reader: Reader<unknown> | undefined): Node {
    if (reader?.fields !== undefined && isPlainObject(value)) return this.#section(value, path, reader.fields)
    if (reader?.element !== undefined && Array.isArray(value) && value.length > 0) {
      const list = new YAMLSeq(this.#document.schema)
      for (const [index, item] of value.entries()) list.add(this.node(item, joinPath(path, index), reader.element))
      return list
    }
    if (isPlainObject(value) && Object.keys(value).length > 0) return this.#freeMap(value, path)
    return this.#leaf(reader?.secret === true ? masked(value) : cleaned(value), path)
  }

  #section(value: Readonly<Record<string, unknown>>, path: string, fields: ReadonlyMap<string, Reader<unknown>>): Node {
    const map = new YAMLMap(this.#document.schema)
    const byName = new Map(Object.entries(value).map(([key, one]) => [snakeCase(key), one]))
    for (const [name, reader] of fields) map.set(name, this.node(byName.get(name), joinPath(path, name), reader))
    return map
  }

  #freeMap(value: Readonly<Record<string, unknown>>, path: string): Node {
    const map = new YAMLMap(this.#document.schema)
    for (const [key, one] of Object.entries(value)) {
      const at = joinPath(path, key)
      const node = isSecret(key, one) ? this.#leaf(masked(one), at) : this.node(one, at, undefined)
      map.set(this.#document.createNode(key), node)
    }
    return map
  }

  #leaf(value: unknown, path: string): Node {
    const node = this.#document.createNode(value)
    if (!isNode(node)) return node
    if (isCollection(node)) node.flow = true
    node.comment = ` ${originText(this.#config.origins[path] ?? DEFAULT_ORIGIN)}`
    return node
  }
}
