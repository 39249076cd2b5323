import { createServer, connect } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

import { onTestFinished } from 'vitest'

interface Pair {
  readonly client: Socket
  readonly server: Socket
}

/** Stands between clients and a Redis, and does to their connections what networks do. Ends with the test. */
export class RedisProxy {
  readonly url: string
  readonly #pairs = new Set<Pair>()

  static async start(target: { readonly port: number }): Promise<RedisProxy> {
    const pairs = new Set<Pair>()
    const server = createServer((client) => {
      const pair = { client, server: connect(target.port, '127.0.0.1') }
      pairs.add(pair)
      for (const [from, to] of [
        [pair.client, pair.server],
        [pair.server, pair.client],
      ] as const) {
        from.setNoDelay(true)
        from.pipe(to)
        from.on('error', () => to.destroy())
        from.on('close', () => pairs.has(pair) && to.destroy())
      }
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new RedisProxy(server, pairs)
  }

  private constructor(server: Server, pairs: Set<Pair>) {
    this.#pairs = pairs
    this.url = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`
    const all = new Set<Pair>()
    server.on('connection', () => pairs.forEach((pair) => all.add(pair)))
    onTestFinished(async () => {
      for (const { client, server: other } of [...pairs, ...all]) {
        client.destroy()
        other.destroy()
      }
      await new Promise((resolve) => server.close(resolve))
    })
  }

  get connections(): number {
    return this.#pairs.size
  }

  /** Clients see the end of their connections. Redis does not: for it they are still there. */
  loseClients(): void {
    for (const pair of this.#take()) {
      pair.server.unpipe(pair.client)
      pair.client.unpipe(pair.server)
      pair.server.resume()
      pair.client.destroy()
    }
  }

  /** The connections that are there carry nothing any more, and nobody is told. New ones work. */
  silence(): void {
    for (const pair of this.#take()) {
      pair.server.unpipe(pair.client)
      pair.client.unpipe(pair.server)
      pair.server.pause()
      pair.client.pause()
    }
  }

  #take(): readonly Pair[] {
    const taken = [...this.#pairs]
    this.#pairs.clear()
    return taken
  }
}
