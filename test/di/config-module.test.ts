import { describe, expect, it } from 'vitest'

import type { StandardSchema } from '../../src/contract/index.ts'
import { OwnContainer } from '../../src/di/container.ts'
import { ProviderError, bind, configModule, createContainer, token } from '../../src/di/index.ts'
import { ConfigError } from '../../src/index.ts'
import { codeOf, outlineOf, thrownBy } from './kit.ts'

interface Settings {
  readonly database: { readonly url: string }
  readonly retries: number
}

/** Numbers may be text; checks as much as the tests need. */
const schema: StandardSchema<unknown, Settings> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => {
      const { database, retries } = value as { database?: { url?: unknown }; retries?: unknown }
      const issues = [
        ...(typeof database?.url === 'string' ? [] : [{ message: 'Expected text', path: ['database', 'url'] }]),
        ...(Number.isNaN(Number(retries)) ? [{ message: 'Expected a number', path: [{ key: 'retries' }] }] : []),
      ]
      if (issues.length > 0) return { issues }
      return { value: { database: { url: String(database?.url) }, retries: Number(retries) } }
    },
  },
}

const slowSchema: StandardSchema<unknown, Settings> = {
  '~standard': { ...schema['~standard'], validate: async (value) => schema['~standard'].validate(value) },
}

const Whole = token<Settings>('Whole')
const Database = token<Settings['database']>('Database')
const Retries = token<number>('Retries')
const source = { database: { url: 'postgres://db' }, retries: '0' }

describe('configModule()', () => {
  it.each([
    ['a schema', schema],
    ['a schema that checks asynchronously', slowSchema],
  ])('binds the whole and its sections, as %s made them', async (_title, used) => {
    const settings = configModule({
      schema: used,
      source,
      key: Whole,
      sections: { database: Database, retries: Retries },
    })
    const container = createContainer({ modules: [settings] })

    expect(container.validate()).toEqual([])
    expect(await container.get(Whole)).toEqual({ database: { url: 'postgres://db' }, retries: 0 })
    expect(await container.get(Database)).toBe((await container.get(Whole)).database)
    expect(await container.get(Retries)).toBe(0)
  })

  it('reads its source once, when it is first needed', async () => {
    let reads = 0
    const settings = configModule({
      schema,
      source: async () => {
        reads += 1
        return source
      },
      sections: { database: Database, retries: Retries },
    })
    const container = createContainer({ modules: [settings] })

    container.validate()
    expect(reads).toBe(0)
    await Promise.all([container.get(Database), container.get(Retries), container.get(Database)])
    expect(reads).toBe(1)
  })

  it('names every setting that does not fit', async () => {
    const settings = configModule({ schema, source: { retries: 'many' }, sections: { retries: Retries }, name: 'app' })
    const container = createContainer({ modules: [settings] })

    const error = await thrownBy(() => container.get(Retries))

    expect(error).toBeInstanceOf(ProviderError)
    expect(error).toMatchObject({ path: ['Retries', 'app'] })
    const cause = (error as ProviderError).cause
    expect(cause).toBeInstanceOf(ConfigError)
    expect(cause).toMatchObject({
      code: 'KIQ_CONFIG_INVALID',
      message:
        'The settings of "app" are not valid: database.url: Expected text; retries: Expected a number. Correct them and ' +
        'start again.',
    })
  })

  it('stops the start when settings do not fit', async () => {
    const container = new OwnContainer({ modules: [configModule({ schema, source: {}, key: Whole })] })
    const links = container.store.registry.link([{ name: 'settings', mode: 'one', key: Whole }])

    expect(await codeOf(() => container.store.start(links))).toBe('KIQ_DI_PROVIDER_FAILED')
  })

  it('reports a source that cannot be read', async () => {
    const cause = new Error('no such file')
    const settings = configModule({ schema, source: () => Promise.reject(cause), key: Whole })

    expect(await thrownBy(() => createContainer({ modules: [settings] }).get(Whole))).toMatchObject({ cause })
  })

  it('can be overridden, as a whole and in parts', async () => {
    const settings = configModule({ schema, source, key: Whole, sections: { database: Database, retries: Retries } })
    const container = createContainer({ modules: [settings] })
    const whole = { database: { url: 'fake' }, retries: 1 }

    const ofWhole = container.fork({ overrides: [bind(Whole, { value: whole })] })
    const ofPart = container.fork({ overrides: [bind(Retries, { value: 9 })] })

    expect([(await ofWhole.get(Database)).url, await ofWhole.get(Retries)]).toEqual(['fake', 1])
    expect([(await ofPart.get(Database)).url, await ofPart.get(Retries)]).toEqual(['postgres://db', 9])
  })

  it('closes nothing that is in the settings', async () => {
    let closed = 0
    const disposable = { ...source, retries: 1, [Symbol.dispose]: () => void (closed += 1) }
    const open: StandardSchema<unknown, Settings> = {
      '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value: value as Settings }) },
    }
    const container = createContainer({ modules: [configModule({ schema: open, source: disposable, key: Whole })] })
    await container.get(Whole)

    await container.close()

    expect(closed).toBe(0)
  })

  it('may be there twice, under names of their own', async () => {
    const other = token<Settings>('Other')
    const modules = [
      configModule({ schema, source, key: Whole, name: 'one' }),
      configModule({ schema, source: { ...source, retries: 5 }, key: other, name: 'two' }),
    ]
    const container = createContainer({ modules })

    expect(outlineOf(container)).toEqual([])
    expect([(await container.get(Whole)).retries, (await container.get(other)).retries]).toEqual([0, 5])
  })
})
