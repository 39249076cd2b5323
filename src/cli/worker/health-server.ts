import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

import { ConfigError } from '../../contract/index.ts'
import type { ChildHealth } from './health.ts'

export interface HealthServer {
  readonly url: string
  close(): void
}

/** What `/live` and `/ready` answer from, asked at each request. */
export interface HealthSource {
  readonly state: string
  readonly children: readonly ChildHealth[]
}

/**
 * Serves `GET /live` (200 while the supervisor runs) and `GET /ready` (200 while every child does its work, else 503).
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` when the address cannot be listened on.
 */
export async function startHealthServer(
  address: { readonly host: string; readonly port: number },
  health: () => HealthSource,
): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const { status, body } = answer(request.method, request.url, health())
    response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    response.end(request.method === 'HEAD' ? undefined : JSON.stringify(body) + '\n')
  })
  await listen(server, address)
  const { address: host, family, port } = server.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${host}]` : host}:${port}`,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** The HTTP side of a health check, without the network. */
export function answer(
  method: string | undefined,
  url: string | undefined,
  { state, children }: HealthSource,
): { readonly status: number; readonly body: object } {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: { error: 'Use GET.' } }
  const path = (url ?? '').split('?')[0]
  if (path === '/live') return { status: 200, body: { status: 'live', state } }
  if (path !== '/ready') return { status: 404, body: { error: 'There are /live and /ready.' } }
  const isReady = state === 'running' && children.every((child) => child.isReady)
  return { status: isReady ? 200 : 503, body: { status: isReady ? 'ready' : 'not ready', state, children } }
}

function listen(server: Server, { host, port }: { readonly host: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const message = `The health server cannot listen on ${host}:${port}: ${error.message}. Use another --health-port.`
      reject(new ConfigError('KIQ_CONFIG_INVALID', message, { cause: error }))
    })
    server.listen(port, host, resolve)
  })
}
