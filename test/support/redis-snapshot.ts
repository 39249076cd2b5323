import type { RedisServer } from './redis-server.ts'

/** Every key of a server with its value: text, or the items of a list. Other types by their names. */
export async function snapshotOf(server: RedisServer): Promise<Readonly<Record<string, string | readonly string[]>>> {
  const keys = (await server.command('KEYS', '*')) as readonly string[]
  const entries = await Promise.all(keys.map(async (key) => [key, await valueOf(server, key)] as const))
  return Object.fromEntries(entries)
}

async function valueOf(server: RedisServer, key: string): Promise<string | readonly string[]> {
  const type = String(await server.command('TYPE', key))
  if (type === 'string') return String(await server.command('GET', key))
  if (type === 'list') return (await server.command('LRANGE', key, '0', '-1')) as readonly string[]
  return type
}
