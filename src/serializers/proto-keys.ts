const KEY = '__proto__'

/**
 * Whether a document may hold the key that both libraries call `__proto_` in objects. In maps they keep its name, so such a
 * document is read as maps, and made into objects by {@link objectsFromMaps}.
 */
export function hasProtoKey(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(KEY)
}

/** Maps as plain objects, all the way down. */
export function objectsFromMaps(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(objectsFromMaps)
  if (!(value instanceof Map)) return value
  // `fromEntries` makes own fields, also of that name.
  return Object.fromEntries([...(value as Map<unknown, unknown>)].map(([key, item]) => [key, objectsFromMaps(item)]))
}
