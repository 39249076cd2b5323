import { getEventListeners } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, RequestListener } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { inspect } from 'node:util'

import { describe, expect, it, onTestFinished } from 'vitest'

import { deferred } from '../../../test/support/deferred.ts'
import { recordingLogger } from '../../../test/support/recording-logger.ts'
import { KiqError, silentLogger } from '../../contract/index.ts'
import { verifyWebhook } from './webhook-signature.ts'
import { WebhookSender } from './webhook.ts'
import type { WebhookAttempt, WebhookSenderOptions } from './webhook.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const BODY = JSON.stringify({ job_id: 'job-1', text: 'grüße' })

/** A server that answers, and its URL. */
async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
}

/** A server that does with a connection what it is told, and its URL. */
async function serveRaw(use: (socket: Socket) => void): Promise<string> {
  const sockets: Socket[] = []
  const server = createTcpServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    use(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

function sender(options: Partial<WebhookSenderOptions> = {}): WebhookSender {
  return new WebhookSender({ logger: silentLogger, ...options })
}

async function attempt(url: string, options?: Partial<WebhookSenderOptions>): Promise<WebhookAttempt> {
  return await sender(options).attempt({ url, id: 'job-1', body: BODY })
}

const answering =
  (status: number, headers: Record<string, string> = {}): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, headers).end('an answer')

describe('a webhook', () => {
  it('is one POST of JSON that can be verified', async () => {
    const requests: { request: IncomingMessage; body: string; isRight: boolean }[] = []
    const url = await serve((request, response) => {
      void text(request).then((body) => {
        requests.push({ request, body, isRight: verifyWebhook({ secret: SECRET, headers: request.headers, body }) })
        response.writeHead(204).end()
      })
    })

    expect(await attempt(url, { secret: SECRET })).toEqual({ outcome: 'delivered', status: 204 })

    expect(requests).toHaveLength(1)
    expect(requests[0]).toMatchObject({ body: BODY, isRight: true })
    const { method, url: path, headers } = requests[0]!.request
    expect([method, path]).toEqual(['POST', '/hook'])
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'kiq', 'webhook-id': 'job-1' })
    expect(Math.abs(Number(headers['webhook-timestamp']) - Date.now() / 1_000)).toBeLessThan(60)
  })

  it('is not signed without a secret', async () => {
    const seen: unknown[] = []
    const url = await serve((request, response) => {
      seen.push(request.headers['webhook-signature'], request.headers['webhook-id'])
      response.end()
    })

    expect(await attempt(url)).toMatchObject({ outcome: 'delivered' })
    expect(seen).toEqual([undefined, 'job-1'])
  })

  it.each([200, 201, 202, 299])('is delivered when the server answers %i', async (status) => {
    expect(await attempt(await serve(answering(status)))).toEqual({ outcome: 'delivered', status })
  })

  it.each([408, 425, 429, 500, 502, 503, 504])('is worth another attempt after %i', async (status) => {
    const url = await serve(answering(status))
    expect(await attempt(url)).toEqual({ outcome: 'again', status, error: `The server answered ${status}.` })
  })

  it.each([400, 401, 404, 410, 422])('is given up after %i', async (status) => {
    const url = await serve(answering(status, { 'retry-after': '5' }))
    expect(await attempt(url)).toEqual({ outcome: 'never', status, error: `The server answered ${status}.` })
  })

  it.each([301, 302, 303, 307, 308])('does not follow a redirect by %i', async (status) => {
    let followed = 0
    const target = await serve((_request, response) => {
      followed += 1
      response.end()
    })
    const url = await serve(answering(status, { location: target }))

    expect(await attempt(url)).toEqual({
      outcome: 'never',
      status,
      error: `The server redirects (${status}). Give the URL that it redirects to.`,
    })
    expect(followed).toBe(0)
  })

  it('waits as long as the server asks, up to an hour', async () => {
    const seconds = await serve(answering(429, { 'retry-after': '7' }))
    const date = await serve(answering(503, { 'retry-after': new Date(Date.now() + 600_000).toUTCString() }))
    const tooLong = await serve(answering(500, { 'retry-after': '100000' }))
    const nothing = await serve(answering(500, { 'retry-after': 'later' }))

    expect(await attempt(seconds)).toMatchObject({ outcome: 'again', retryAfterMs: 7_000 })
    const { retryAfterMs = 0 } = await attempt(date)
    expect(retryAfterMs).toBeGreaterThan(500_000)
    expect(retryAfterMs).toBeLessThanOrEqual(600_000)
    expect(await attempt(tooLong)).toMatchObject({ retryAfterMs: 3_600_000 })
    expect(await attempt(nothing)).not.toHaveProperty('retryAfterMs')
  })

  it('is tried again where nobody listens', async () => {
    const closed = createTcpServer()
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve))
    const { port } = closed.address() as AddressInfo
    await new Promise((resolve) => closed.close(resolve))

    expect(await attempt(`http://127.0.0.1:${port}/`)).toEqual({
      outcome: 'again',
      error: 'The server cannot be reached (ECONNREFUSED).',
    })
  })

  it.each([
    ['closes the connection', (socket: Socket) => void socket.once('data', () => socket.destroy())],
    ['answers nonsense', (socket: Socket) => void socket.once('data', () => socket.end('hello\r\n\r\n'))],
  ])('is tried again when the server %s', async (_name, use) => {
    const { outcome, error } = await attempt(await serveRaw(use))
    expect(outcome).toBe('again')
    expect(error).toMatch(/^The server cannot be reached( \([A-Z_]+\))?\.$/)
  })

  it('is tried again when the server does not speak TLS', async () => {
    const url = (await serve(answering(200))).replace('http:', 'https:')
    expect(await attempt(url)).toMatchObject({ outcome: 'again' })
  })

  it.each([
    ['says nothing', ''],
    ['stops in the middle of the status', 'HTTP/1.1 2'],
    ['stops in the middle of the headers', 'HTTP/1.1 200 OK\r\nx-a: '],
  ])('is tried again when the server %s, and closes the connection', async (_name, answer) => {
    const closed = deferred()
    const url = await serveRaw((socket) => {
      socket.once('close', () => closed.resolve())
      socket.once('data', () => socket.write(answer))
    })

    expect(await attempt(url, { timeoutMs: 100 })).toEqual({
      outcome: 'again',
      error: 'The server did not answer within 100 ms.',
    })
    await closed.promise
  })

  it('is delivered though the body of the answer has no end, and closes the connection', async () => {
    const closed = deferred()
    const url = await serve((_request, response) => {
      response.once('close', () => closed.resolve())
      response.writeHead(200)
      const more = (): void => void (response.write('x'.repeat(65_536)) ? setImmediate(more) : undefined)
      response.on('drain', more)
      more()
    })

    expect(await attempt(url)).toEqual({ outcome: 'delivered', status: 200 })
    await closed.promise
  })

  it('can be given up, before and while it is under way', async () => {
    const arrived = deferred()
    const url = await serve(() => arrived.resolve())
    const stop = new AbortController()
    const under = sender().attempt({ url, id: 'job-1', body: BODY, signal: stop.signal })
    await arrived.promise
    stop.abort()

    const givenUp = { outcome: 'again', error: 'The attempt was given up before there was an answer.' }
    expect(await under).toEqual(givenUp)
    expect(await sender().attempt({ url, id: 'job-1', body: BODY, signal: stop.signal })).toEqual(givenUp)
  })

  it('is never sent to a host that is not allowed, nor to a port that HTTP does not use', async () => {
    const url = await serve(answering(200))
    const toOther = await attempt(url, { allowedHosts: ['example.com'] })
    expect(toOther).toEqual({
      outcome: 'never',
      error: 'The URL of a webhook has host "127.0.0.1", which is not allowed. Use one that the service allows.',
    })
    expect(await attempt('http://127.0.0.1:25/')).toEqual({
      outcome: 'never',
      error: 'The port of the URL is one that HTTP does not use. Use another one.',
    })
  })

  it('is never sent with an id that no header can have', async () => {
    const url = await serve(answering(200))
    for (const id of ['', 'a\r\nb: c', 'é', 'x'.repeat(257)]) {
      const { outcome, error } = await sender().attempt({ url, id, body: BODY })
      expect([outcome, error]).toEqual(['never', expect.stringContaining('The id of a webhook is ')])
    }
  })

  it('is noted when it fails, without the URL, which may have secrets of the receiver', async () => {
    const logger = recordingLogger()
    const url = await serve(answering(500))
    await sender({ logger }).attempt({ url: `${url}?token=abc`, id: 'job-1', body: BODY })

    expect(logger.lines).toMatchObject([
      { level: 'debug', fields: { webhook: 'job-1', outcome: 'again', status: 500 } },
    ])
    expect(inspect(logger.lines)).not.toContain('abc')
  })

  it('does not reject when the logger throws', async () => {
    const debug = (): void => {
      throw new Error('full')
    }
    const logger = { ...silentLogger, debug }
    expect(await attempt(await serve(answering(500)), { logger })).toMatchObject({ outcome: 'again' })
  })

  it('leaves no listener at the signal', async () => {
    const { signal } = new AbortController()
    const url = await serve(answering(200))
    await sender().attempt({ url, id: 'job-1', body: BODY, signal })

    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})

describe('the URL of a webhook', () => {
  it('is given back as it is going to be used', () => {
    expect(sender().assertUrl('https://Example.com:443/a?b=c')).toBe('https://example.com/a?b=c')
    expect(sender({ allowedHosts: ['*.example.com'] }).assertUrl('http://a.example.com')).toBe('http://a.example.com/')
  })

  it.each([
    [undefined, 'is undefined. Use an absolute URL.'],
    [17, 'is 17. Use an absolute URL.'],
    ['/hook', 'is "/hook". Use an absolute URL.'],
    ['file:///etc/passwd', 'begins with "file:". Use http: or https:.'],
    ['https://me:pass@example.com', 'has a user name or a password. Leave them out; the signature tells who sent it.'],
    ['https://me@example.com', 'has a user name or a password.'],
    [`https://example.com/${'x'.repeat(2_048)}`, 'has 2068 characters. Use at most 2048.'],
    ['https://other.example', 'has host "other.example", which is not allowed. Use one that the service allows.'],
  ])('%j is refused', (url, message) => {
    let error: unknown
    try {
      sender({ allowedHosts: ['example.com'] }).assertUrl(url)
    } catch (thrown) {
      error = thrown
    }
    expect(KiqError.is(error, 'KIQ_ARGUMENTS_INVALID')).toBe(true)
    expect(String(error)).toContain(`The URL of a webhook ${message}`)
  })
})

describe('the sender of webhooks', () => {
  it.each([
    [{ timeoutMs: 0 }, '`timeoutMs` is 0. Use a whole number ≥ 1.'],
    [{ secret: '' }, 'The secret for webhooks is empty.'],
    [{ allowedHosts: ['a b'] }, '"a b" is no host for webhooks.'],
  ])('refuses %j', (options, message) => {
    expect(() => sender(options)).toThrow(message)
  })

  it('does not show its secret', () => {
    expect(inspect(sender({ secret: 'plain secret' }), { depth: Infinity, showHidden: true })).not.toContain('plain')
  })
})
