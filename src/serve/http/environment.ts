import type { HttpBindings } from '@hono/node-server'
import type { Context, Hono } from 'hono'

/** What handlers find in a Hono context. The bindings are those of Node's server; other servers have none. */
export interface Env {
  readonly Bindings: Partial<HttpBindings>
  readonly Variables: {
    requestId: string
    /** Digest of the key that was accepted. */
    caller: string
    /** For metrics. */
    model?: string
  }
}

export type App = Hono<Env>
export type Call = Context<Env>
