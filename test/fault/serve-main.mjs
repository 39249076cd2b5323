// Serves until it is told to stop, and then ends by itself: what is left over would keep the process running.
import { service } from './service.mjs'

const server = await service.listen({ port: 0 })
process.once('SIGTERM', () => void server.close({ timeout: '20s' }))
console.log(JSON.stringify({ msg: 'listens', url: server.url }))
