import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'

import { describe, expect, it, onTestFinished } from 'vitest'

import { bind, createContainer, module, token } from '../../src/di/index.ts'
import { Pool, application } from './fixtures/application.ts'
import { codeOf, outlineOf, thrownBy } from './kit.ts'

const Host = token<string>('Host')
const Url = token<string>('Url')
const Several = token<string>('Several')

const host = module('host', [bind(Host, { value: 'localhost' })])

describe('a module', () => {
  it('brings the modules that it imports', async () => {
    const url = module('url', [bind(Url, { deps: { host: Host }, create: (deps) => `http://${deps.host}` })], {
      imports: [host],
    })

    expect(await createContainer({ modules: [url] }).get(Url)).toBe('http://localhost')
  })

  it('is there once, by however many ways it comes', async () => {
    const base = module('base', [bind(Several, { value: 'base', multi: true })])
    const left = module('left', [bind(Several, { value: 'left', multi: true })], { imports: [base] })
    const right = module('right', [bind(Several, { value: 'right', multi: true })], { imports: [base, left] })
    const container = createContainer({ modules: [right, base, left, right] })

    const nodes = container.graph().nodes.map((node) => node.module)

    expect(container.validate()).toEqual([])
    expect(nodes).toEqual(['base', 'left', 'right'])
  })

  it('comes after what it imports, so that it can override that', async () => {
    const other = module('other', [bind(Host, { value: 'example.com', override: true })], { imports: [host] })
    const container = createContainer({ modules: [other, host] })

    expect(container.validate()).toEqual([])
    expect(await container.get(Host)).toBe('example.com')
  })

  it('comes before the providers of the container itself', async () => {
    const container = createContainer({
      modules: [host],
      providers: [bind(Host, { value: 'example.com', override: true })],
    })

    expect(await container.get(Host)).toBe('example.com')
  })

  it('of the same name as another is another one', () => {
    const same = module('host', [bind(Host, { value: 'example.com' })])

    expect(outlineOf(createContainer({ modules: [host, same] }))).toEqual(['KIQ_DI_DUPLICATE Host'])
  })

  it('serves many containers, each with values of its own', async () => {
    let made = 0
    const shared = module('shared', [bind(Several, { create: () => `made ${(made += 1)}` })])
    const one = createContainer({ modules: [shared] })
    const other = createContainer({ modules: [shared] })

    expect([await one.get(Several), await other.get(Several), await one.get(Several)]).toEqual([
      'made 1',
      'made 2',
      'made 1',
    ])
  })

  it('can be configured; one configuration gives one module', async () => {
    const mail = module('mail', (config: { readonly from: string }) => [bind(Several, { value: config.from })])
    const config = { from: 'me@example.com' }
    const container = createContainer({ modules: [mail(config), mail(config)] })

    expect(container.validate()).toEqual([])
    expect(await container.get(Several)).toBe('me@example.com')
    expect(outlineOf(createContainer({ modules: [mail(config), mail({ ...config })] }))).toEqual([
      'KIQ_DI_DUPLICATE Several',
    ])
  })

  it('can be configured with what is no object', async () => {
    const greeting = module('greeting', (name: string) => [bind(Several, { value: `Hello ${name}` })])

    expect(await createContainer({ modules: [greeting('Ada')] }).get(Several)).toBe('Hello Ada')
  })

  it('refuses what is no name and what is no provider', async () => {
    expect(await codeOf(() => module('', []))).toBe('KIQ_CONFIG_INVALID')
    expect(await codeOf(() => module(undefined as never, []))).toBe('KIQ_CONFIG_INVALID')
    const broken = module('broken', [{ provide: Host } as never])
    const error = await thrownBy(() => createContainer({ modules: [broken] }))
    expect(error).toMatchObject({ name: 'ConfigError', code: 'KIQ_CONFIG_INVALID' })
    expect((error as Error).message).toMatch(/^Module "broken" was given .* as a provider/)
    expect(await codeOf(() => createContainer({ providers: [undefined as never] }))).toBe('KIQ_CONFIG_INVALID')
  })
})

describe('install()', () => {
  it('adds modules until the container is used', async () => {
    const url = module('url', [bind(Url, { deps: { host: Host }, create: (deps) => deps.host })])
    const container = createContainer().install(host).install(url)

    expect(await container.get(Url)).toBe('localhost')
    const error = await thrownBy(() => container.install(module('late', [])))
    expect(error).toMatchObject({ code: 'KIQ_CONFIG_INVALID' })
    expect((error as Error).message).toContain('in use')
  })

  it('adds a module once, that came before', () => {
    expect(outlineOf(createContainer({ modules: [host] }).install(host, host))).toEqual([])
  })

  it('refuses what is no provider, and keeps what was there', async () => {
    const container = createContainer({ modules: [host] })

    expect(await codeOf(() => container.install(module('broken', [{} as never])))).toBe('KIQ_CONFIG_INVALID')
    expect(await container.get(Host)).toBe('localhost')
  })
})

describe('has()', () => {
  it('tells what is bound, whether it can be made or not', () => {
    const container = createContainer({ providers: [bind(Url, { deps: { host: Host }, create: (deps) => deps.host })] })

    expect([container.has(Url), container.has(Host)]).toEqual([true, false])
  })
})

/** Runs a module in a thread; gives what it posts, or throws what it throws. */
async function runInThread(url: URL): Promise<unknown> {
  const thread = new Worker(new URL('./fixtures/thread.mjs', import.meta.url), { workerData: url.href })
  onTestFinished(async () => void (await thread.terminate()))
  const [message] = (await once(thread, 'message')) as [unknown]
  return message
}

describe('a thread', () => {
  it('makes a container of its own from the same source module', async () => {
    const here = await application.get(Pool)
    const url = new URL('./fixtures/application-thread.ts', import.meta.url)

    const reports = await Promise.all([runInThread(url), runInThread(url)])

    expect(reports).toEqual([
      { problems: 0, pool: { id: 1 } },
      { problems: 0, pool: { id: 1 } },
    ])
    expect(application.isClosed).toBe(false)
    expect(await application.get(Pool)).toBe(here)
  })
})

describe('source modules that import each other', () => {
  const kiq = new URL('../../src/di/index.ts', import.meta.url).href

  /** Written here, as no module of Kiq may be part of a circle. */
  async function circle(depsOfMail: string): Promise<URL> {
    const folder = await mkdtemp(join(tmpdir(), 'kiq-circle-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const files = {
      'users.mjs': `
        import { bind, token } from '${kiq}'
        import { Mail } from './mail.mjs'
        export const Users = token('Users')
        export const users = bind(Users, { deps: () => ({ mail: Mail }), create: ({ mail }) => ({ mail, title: 'Dr' }) })`,
      // Runs first, when `Users` is not there yet.
      'mail.mjs': `
        import { bind, lazy, token } from '${kiq}'
        import { Users } from './users.mjs'
        export const Mail = token('Mail')
        export const mail = bind(Mail, {
          deps: ${depsOfMail},
          create: ({ users }) => ({ welcome: async (name) => 'Welcome, ' + (await users()).title + ' ' + name }),
        })`,
      'main.mjs': `
        import { parentPort } from 'node:worker_threads'
        import { createContainer } from '${kiq}'
        import { Users, users } from './users.mjs'
        import { mail } from './mail.mjs'
        const container = createContainer({ providers: [users, mail] })
        const made = await container.get(Users)
        parentPort.postMessage([container.validate(), await made.mail.welcome('Ada')])`,
    }
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    return pathToFileURL(join(folder, 'main.mjs'))
  }

  it('work with thunks of dependencies', async () => {
    expect(await runInThread(await circle('() => ({ users: lazy(Users) })'))).toEqual([[], 'Welcome, Dr Ada'])
  })

  it('do not even load without', async () => {
    const url = await circle('{ users: lazy(Users) }')

    expect(await thrownBy(() => runInThread(url))).toMatchObject({
      name: 'ReferenceError',
      message: "Cannot access 'Users' before initialization",
    })
  })
})
