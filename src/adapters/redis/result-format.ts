import { inspect } from 'node:util'

import { ConfigError } from '../../contract/index.ts'
import type { Body, Serializer } from '../../contract/index.ts'
import { JsonSerializer } from '../../serializers/json-serializer.ts'
import { isPickle, PickleSerializer } from '../../serializers/pickle.ts'
import { isPythonJson } from '../../serializers/python-json.ts'

/** How what is kept in Redis is written; see `RedisResultBackendOptions.serializer`. */
export type RedisFormat = 'json' | 'pickle' | 'auto' | Serializer

/** Writes one format, and reads besides it what Python's Taskiq writes by default. */
class DetectingSerializer implements Serializer {
  readonly name: string
  readonly #own: Serializer
  readonly #pickle = new PickleSerializer()

  constructor(own: Serializer) {
    this.name = own.name
    this.#own = own
  }

  dumpb(value: unknown): Body {
    return this.#own.dumpb(value)
  }

  loadb(body: Body): unknown {
    if (isPickle(body)) return this.#pickle.loadb(body)
    return this.#own instanceof PickleSerializer ? new JsonSerializer().loadb(body) : this.#own.loadb(body)
  }
}

/** The serializer of a backend, and where it depends on who asks, that of an answer. */
export interface ResultFormat {
  readonly serializer: Serializer
  readonly serializerFor: ((request: Body) => Serializer) | undefined
}

/** @throws {ConfigError} `KIQ_CONFIG_INVALID` with the value. */
export function resultFormat(format: RedisFormat = 'json'): ResultFormat {
  const json = new DetectingSerializer(new JsonSerializer())
  const pickle = new DetectingSerializer(new PickleSerializer())
  if (format === 'json') return { serializer: json, serializerFor: undefined }
  if (format === 'pickle') return { serializer: pickle, serializerFor: undefined }
  if (format === 'auto') {
    return { serializer: json, serializerFor: (request) => (isFromPython(request) ? pickle : json) }
  }
  const given: unknown = format
  if (typeof given === 'object' && given !== null && 'dumpb' in given && 'loadb' in given) {
    return { serializer: new DetectingSerializer(format), serializerFor: undefined }
  }
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `\`serializer\` is ${inspect(format)}. Use 'json', 'pickle', 'auto' or a serializer.`,
  )
}

/** Messages of a Python client in its default format, or pickled. */
function isFromPython(request: Body): boolean {
  return isPythonJson(request) || isPickle(request)
}
