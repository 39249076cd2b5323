import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createContext, runInContext } from 'node:vm'

import { describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'

import { docsPage } from '../../src/serve/http/openapi/docs-page.ts'
import { openApiDocument } from '../../src/serve/http/openapi/document.ts'
import { jsonSchemaOf } from '../../src/serve/http/openapi/json-schema.ts'
import { until } from '../../src/testing/until.ts'
import { smallDocument } from '../support/small-dom.ts'
import type { SmallElement } from '../support/small-dom.ts'

const SOON = { timeoutMs: 10_000 }

const Node = z.object({
  text: z.string().describe('<b>bold</b>'),
  language: z.enum(['en', 'de']),
  top: z.int().min(1).default(3),
  note: z.string().optional(),
  get children() {
    return z.array(Node)
  },
})

const DOCUMENT = openApiDocument({
  title: 'shop',
  version: '1.2.3',
  authHeader: 'x-api-key',
  hasKeys: true,
  maxPayloadBytes: 1_000_000,
  requestTimeoutSeconds: 60,
  models: [
    {
      name: 'tree',
      input: jsonSchemaOf(Node, 'input'),
      output: jsonSchemaOf(z.object({ n: z.number() }), 'output'),
      streams: true,
    },
  ],
})

interface Seen {
  readonly line: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

interface Page {
  readonly routes: SmallElement
  readonly about: SmallElement
  readonly seen: readonly Seen[]
}

type Answer = (seen: Seen, response: ServerResponse) => void

/** Runs the script of the page against a server that has the document below a prefix. */
async function openPage(answer: Answer, documentPath: string = 'openapi.json'): Promise<Page> {
  const seen: Seen[] = []
  const server = createServer((request, response) => void answerOne(request, response))
  const answerOne = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url === '/shop/openapi.json') {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(DOCUMENT))
      return
    }
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const one = {
      line: `${request.method} ${request.url}`,
      headers: request.headers,
      body: Buffer.concat(chunks).toString(),
    }
    seen.push(one)
    answer(one, response)
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const document = smallDocument(['routes', 'about'])
  document.body.dataset['document'] = documentPath
  const { AbortController, Headers, TextDecoder, URL, URLSearchParams, fetch } = globalThis
  const location = { href: `http://127.0.0.1:${(server.address() as AddressInfo).port}/shop/docs` }
  const [, script = ''] = /<script>([^]*)<\/script>/.exec(docsPage({ title: 'shop', documentPath })) ?? []
  const known = { document, location, AbortController, Headers, TextDecoder, URL, URLSearchParams, fetch }
  runInContext(script, createContext(known))
  const routes = document.getElementById('routes') as SmallElement
  await until(() => routes.children.length > 0, SOON)
  return { routes, about: document.getElementById('about') as SmallElement, seen }
}

function opened(page: Page, method: string, path: string): SmallElement {
  const route = page.routes.all('details').find((one) => one.textContent.startsWith(`${method} ${path} `))
  if (route === undefined) throw new Error(`no ${method} ${path}`)
  route.open = true
  route.dispatchEvent(new Event('toggle'))
  return route
}

function send(route: SmallElement): void {
  route.one('form').dispatchEvent(new Event('submit', { cancelable: true }))
}

const output = (route: SmallElement) => route.all('pre').at(-1)?.textContent ?? ''
const status = (route: SmallElement) => route.all('p').find((p) => p.attributes.get('role') === 'status')?.textContent

const json: Answer = (_, response) => {
  response.setHeader('content-type', 'application/json').setHeader('x-request-id', 'r1').end('{"n":1}')
}

describe('the page that shows the document', () => {
  it('lists every route under its tag', async () => {
    const page = await openPage(json)
    expect(page.routes.all('h2').map((one) => one.textContent)).toEqual(DOCUMENT.tags.map((tag) => tag.name))
    expect(page.routes.all('a').map((one) => one.attributes.get('href'))).toEqual(
      page.routes.all('h2').map((one) => `#${one.attributes.get('id')}`),
    )
    const count = Object.values(DOCUMENT.paths).flatMap((item) => Object.keys(item)).length
    expect(page.routes.all('details')).toHaveLength(count)
    expect(page.about.textContent).toContain('Version 1.2.3')
  })

  it('shows parameters, schemas and answers of a route that is opened', async () => {
    const route = opened(await openPage(json), 'POST', '/predict_sync')
    expect(route.textContent).toContain('x-request-timeout in header, optional: number (> 0)')
    expect(route.textContent).toContain('text: string  // <b>bold</b>')
    expect(route.textContent).toContain('language: "en" | "de"')
    expect(route.textContent).toContain('children: list of TreeInput')
    expect(route.textContent).toContain('429 Too many requests wait already.')
    expect(route.textContent).toContain('Headers: x-request-id, Retry-After')
    // Once is enough.
    route.dispatchEvent(new Event('toggle'))
    expect(route.all('form')).toHaveLength(1)
  })

  it('begins the body with an example that fits the schema', async () => {
    const route = opened(await openPage(json), 'POST', '/predict_sync')
    const example: unknown = JSON.parse(route.labelled('Body').value)
    expect(Node.safeParse(example).success).toBe(true)
    expect(example).toMatchObject({ text: 'text', language: 'en', top: 3 })
    expect(example).not.toHaveProperty('note')
  })

  it('does not begin with a webhook', async () => {
    const route = opened(await openPage(json), 'POST', '/predict_async')
    expect(JSON.parse(route.labelled('Body').value)).toMatchObject({ success_queue: '', meta: {} })
    expect(route.labelled('Body').value).not.toContain('webhook')
  })

  it('sends a request with key, parameters and body, beside the document, and shows the answer', async () => {
    const page = await openPage(json)
    page.about.labelled('Key').value = 'secret'
    const route = opened(page, 'POST', '/predict_sync')
    route.labelled('model_name').value = 'tree'
    route.labelled('x-request-timeout').value = '2.5'
    route.labelled('Body').value = '{"text":"x"}'
    send(route)
    await until(() => output(route) !== '', SOON)
    expect(page.seen).toMatchObject([
      {
        line: 'POST /shop/predict_sync?model_name=tree',
        headers: { authorization: 'Bearer secret', 'x-request-timeout': '2.5', accept: 'application/json' },
        body: '{"text":"x"}',
      },
    ])
    expect(status(route)).toMatch(/^200 OK, after \d+ ms$/)
    expect(output(route)).toBe('{\n  "n": 1\n}')
    expect(route.all('pre').at(-2)?.textContent).toContain('x-request-id: r1')
  })

  it('sends the key in the header of the service when it is told to, and never to routes that are open', async () => {
    const page = await openPage(json)
    page.about.labelled('Key').value = 'secret'
    page.about.labelled('Send the key as').value = 'apiKey'
    const job = opened(page, 'DELETE', '/jobs/{id}')
    job.labelled('id (required)').value = 'a/b'
    send(job)
    await until(() => output(job) !== '', SOON)
    const health = opened(page, 'GET', '/health')
    send(health)
    await until(() => output(health) !== '', SOON)
    expect(page.seen[0]).toMatchObject({ line: 'DELETE /shop/jobs/a%2Fb', headers: { 'x-api-key': 'secret' } })
    expect(page.seen[1]?.headers).not.toHaveProperty('x-api-key')
    expect(page.seen[1]?.headers).not.toHaveProperty('authorization')
  })

  it('shows events as they come, and can stop', async () => {
    const page = await openPage((_, response) => {
      response.setHeader('content-type', 'text/event-stream').write('event: output\ndata: {"n":1}\n\n')
    })
    const route = opened(page, 'POST', '/predict_sync')
    route.labelled('Accept').value = 'text/event-stream'
    send(route)
    await until(() => output(route) === 'event: output\ndata: {"n":1}\n\n', SOON)
    const stop = route.one('button', 'Stop')
    expect(stop.disabled).toBe(false)
    stop.dispatchEvent(new Event('click'))
    await until(() => stop.disabled, SOON)
    expect(status(route)).toMatch(/ms Stopped\.$/)
    expect(page.seen[0]?.headers.accept).toBe('text/event-stream')
  })

  it('shows an answer that is very long in part', async () => {
    const page = await openPage((_, response) => {
      response.setHeader('content-type', 'text/plain').end('x'.repeat(300_000))
    })
    const route = opened(page, 'GET', '/metrics')
    send(route)
    await until(() => output(route) !== '', SOON)
    expect(output(route)).toMatch(/^x{200000}\n… \(the rest is not shown\)$/)
  })

  it('says so when no answer comes', async () => {
    const page = await openPage((_, response) => response.destroy())
    const route = opened(page, 'GET', '/info')
    send(route)
    await until(() => status(route)?.includes('No answer') ?? false, SOON)
    expect(route.one('button', 'Stop').disabled).toBe(true)
  })

  it('says so when the document cannot be read', async () => {
    const page = await openPage((_, response) => response.writeHead(404).end(), '/elsewhere.json')
    expect(page.routes.textContent).toContain('could not be read from /elsewhere.json: status 404')
    expect(page.routes.one('p').attributes.get('role')).toBe('alert')
  })
})
