// A server that answers at once, with as many bytes as the others: what the client can do at most.
import { createServer } from 'node:http'

const ANSWER = JSON.stringify({ status: 'success', error: null, meta: {}, speech: 0.5, state: 'A'.repeat(1_708) })

const server = createServer((request, response) => {
  request.resume().on('end', () => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': ANSWER.length }).end(ANSWER)
  })
})
server.listen(0, '127.0.0.1', () => process.send?.({ port: /** @type {any} */ (server.address()).port }))
process.once('disconnect', () => process.exit(0))
