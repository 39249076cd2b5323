import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

import { createAdaptorServer } from '@hono/node-server'

import { ConfigError } from '../../contract/index.ts'
import type { App } from './environment.ts'

export interface ListenOptions {
  /** @defaultValue `http_config.host` */
  readonly host?: string | undefined
  /** 0: any free one. @defaultValue `http_config.port` */
  readonly port?: number | undefined
}

/** A server that listens. */
export interface HttpServer {
  /** Where to reach it, without a slash at the end. */
  readonly url: string
  readonly port: number
  /** Takes no more connections, and resolves when all requests are answered; after that many milliseconds they are cut. */
  close(timeoutMs: number): Promise<void>
}

/** @throws {ConfigError} `KIQ_CONFIG_INVALID` when the address cannot be listened at. */
export async function listen(
  app: App,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<HttpServer> {
  const server = createAdaptorServer({ fetch: app.fetch }) as Server
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new ConfigError(
          'KIQ_CONFIG_INVALID',
          `The service cannot listen at ${host}, port ${port}: ${cause.message}. Choose another port, or 0 for any.`,
          { cause },
        ),
      ),
    )
    server.listen(port, host, resolve)
  })
  const address = server.address() as AddressInfo
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
  let closing: Promise<void> | undefined
  return {
    url: `http://${name}:${address.port}`,
    port: address.port,
    close: (timeoutMs) => (closing ??= closeServer(server, timeoutMs)),
  }
}

async function closeServer(server: Server, timeoutMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  // Connections that become idle after their last answer would stay open until their client closes them.
  const idle = setInterval(() => server.closeIdleConnections(), 50)
  const limit = setTimeout(() => server.closeAllConnections(), timeoutMs)
  await closed
  clearInterval(idle)
  clearTimeout(limit)
}
