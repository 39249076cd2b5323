// A process that sends requests over connections that stay open, the next one when the answer has come. On bare sockets, as
// `node:http` would take as long for a request as the servers do.
import { once } from 'node:events'
import { connect } from 'node:net'
import { performance } from 'node:perf_hooks'

import { percentile } from './measure.mjs'
import { requestBodies } from './serve-vad.mjs'

/**
 * Without an end when `milliseconds` is 0.
 *
 * @typedef {{ readonly port: number, readonly clients: number, readonly milliseconds: number }} Load
 */

const BODIES = requestBodies(64)
const END_OF_HEADERS = Buffer.from('\r\n\r\n')
const END_OF_CHUNKS = Buffer.from('0\r\n\r\n')
/** Longer than any answer takes, and short enough to see that none comes. */
const ANSWER_MS = 30_000

/** When no further request is sent. */
let until = 0

process.on('message', async (/** @type {Load | 'enough'} */ load) => {
  if (load === 'enough') {
    until = 0
    return
  }
  try {
    process.send?.(await run(load))
  } catch (error) {
    process.send?.({ error: String(error) })
  }
})
process.send?.('ready')

/** @param {Load} load */
async function run({ port, clients, milliseconds }) {
  const times = /** @type {number[]} */ ([])
  const requests = BODIES.map((body) => requestOf(port, body))
  const sockets = await Promise.all(
    Array.from({ length: clients }, async () => {
      const socket = connect(port, '127.0.0.1').setNoDelay(true)
      await once(socket, 'connect')
      return socket
    }),
  )
  const startedAt = performance.now()
  until = milliseconds === 0 ? Infinity : startedAt + milliseconds
  try {
    await Promise.all(sockets.map(async (socket, i) => await client(socket, { requests, from: i, times })))
    const seconds = (performance.now() - startedAt) / 1000
    return { rate: times.length / seconds, p50: percentile(times, 0.5), p99: percentile(times, 0.99) }
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

/**
 * @param {import('node:net').Socket} socket
 * @param {{ readonly requests: readonly Buffer[], readonly from: number, readonly times: number[] }} work
 */
function client(socket, { requests, from, times }) {
  return /** @type {Promise<void>} */ (
    new Promise((resolve, reject) => {
      let next = from
      let sentAt = 0
      let answer = Buffer.alloc(0)
      const send = () => {
        sentAt = performance.now()
        if (sentAt >= until) return resolve()
        socket.write(/** @type {Buffer} */ (requests[next % requests.length]))
        next += 1
      }
      socket.setTimeout(ANSWER_MS, () => reject(new Error(`no answer within ${ANSWER_MS} ms`)))
      socket.on('error', reject).on('close', () => reject(new Error('the server has closed a connection')))
      socket.on('data', (data) => {
        answer = answer.length === 0 ? data : Buffer.concat([answer, data])
        if (!isComplete(answer)) return
        if (answer.toString('latin1', 9, 12) !== '200') return reject(new Error(answer.toString('utf8', 0, 500)))
        answer = Buffer.alloc(0)
        times.push(performance.now() - sentAt)
        send()
      })
      send()
    })
  )
}

/** @param {Buffer} answer */
function isComplete(answer) {
  const end = answer.indexOf(END_OF_HEADERS)
  if (end === -1) return false
  const headers = answer.toString('latin1', 0, end)
  const length = /\r\ncontent-length: *(\d+)/i.exec(headers)?.[1]
  if (length === undefined) return answer.subarray(-END_OF_CHUNKS.length).equals(END_OF_CHUNKS)
  return answer.length >= end + END_OF_HEADERS.length + Number(length)
}

/**
 * @param {number} port
 * @param {string} body
 */
function requestOf(port, body) {
  const headers = ['host: 127.0.0.1:' + port, 'content-type: application/json', `content-length: ${body.length}`]
  return Buffer.from(`POST /predict_sync HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n${body}`, 'latin1')
}
