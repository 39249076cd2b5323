// A handler in Hono that runs the model on the event loop, for each request alone: no queue, no schema, no limit, no worker.
import { serve } from '@hono/node-server'
import { Hono } from 'hono'

import { loadModel } from './serve-vad.mjs'

const hear = await loadModel()
const app = new Hono()
app.post('/predict_sync', async (context) => {
  const [heard] = await hear([await context.req.json()])
  return context.json({ status: 'success', error: null, meta: {}, ...heard })
})
serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => process.send?.({ port }))
process.once('disconnect', () => process.exit(0))
