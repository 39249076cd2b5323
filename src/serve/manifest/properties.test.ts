import { posix } from 'node:path'

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { at, configOf, written } from '../../../test/support/manifest.ts'
import { dnsName, FileKeys, Names } from './names.ts'

/** Text with what formats take amiss. */
const odd = fc.constantFrom(
  '$',
  '$$',
  '${A}',
  '$(A)',
  '\\',
  '"',
  "'",
  '\n',
  '\r',
  '\t',
  '#',
  ': ',
  '- ',
  '\u2028',
  '\x85',
)
const piece = fc.oneof({ weight: 2, arbitrary: odd }, fc.string({ unit: 'grapheme', maxLength: 6 }))
const word = fc.constantFrom(
  'yes',
  'null',
  'NaN',
  '1e3',
  '0x1F',
  '12:30:00',
  '1_000',
  '<<',
  '~',
  '.inf',
  '2001-01-01',
  '',
)
const text = fc
  .oneof(
    fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join('')),
    word,
  )
  .filter((value) => !value.includes('\0'))
const name = fc.stringMatching(/^[A-Za-z_]\w{0,8}$/).filter((one) => !/token|secret|key|pass|credential/i.test(one))
const variables = fc.dictionary(name, text, { maxKeys: 4, noNullPrototype: true })
const segment = fc.stringMatching(/^[^/:\\\p{C}\u2028\u2029]{1,8}$/u).filter((one) => !/^\.+$/.test(one.trim()))
const path = fc.array(segment, { minLength: 1, maxLength: 3 }).map((segments) => `/m/${segments.join('/')}`)
const version = fc.constantFrom('1.1' as const, '1.2' as const)

const BUCKET = {
  mountPoint: '/b',
  bucketEndpointUrl: null,
  oidcAuthRoleArn: null,
  readOnly: false,
  requesterPays: false,
}

/** As Docker reads a quoted value. */
function envOf(dockerfile: readonly string[]): Record<string, string> {
  const lines = dockerfile.filter((line) => line.startsWith('ENV ') && !line.startsWith('ENV NODE_ENV='))
  return Object.fromEntries(
    lines.map((line) => {
      const { key, value } = /^ENV (?<key>[\w.-]+)="(?<value>(?:[^"\\$]|\\["\\$])*)"$/.exec(line)?.groups ?? {}
      return [key ?? line, (value ?? 'unreadable').replace(/\\(["\\$])/g, '$1')]
    }),
  )
}

/** As Compose and Kubernetes read a text in which no variable is meant. */
function plain(value: unknown): string {
  const given = String(value)
  expect(given.replaceAll('$$', '')).not.toContain('$')
  return given.replaceAll('$$', '$')
}

describe('what was written', () => {
  it('has the variables of the configuration, whatever is in them', async () => {
    await fc.assert(
      fc.asyncProperty(variables, version, async (env, yaml) => {
        const { dockerfile, service, container } = written(await configOf({ buildConfig: { env } }), undefined, yaml)
        const composed = Object.entries(at(service, 'environment') ?? {}).map(
          ([key, one]) => [key, plain(one)] as const,
        )
        const podded = ((at(container, 'env') ?? []) as { name: string; value: string }[]).map(
          (one) => [one.name, plain(one.value)] as const,
        )
        expect({ ...envOf(dockerfile), ...Object.fromEntries(composed) }).toEqual(env)
        expect({ ...envOf(dockerfile), ...Object.fromEntries(podded) }).toEqual(env)
      }),
    )
  })

  it('has the paths of mounts, whatever is in them', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(path, { maxLength: 3 }), version, async (paths, yaml) => {
        const volumes = Object.fromEntries(paths.map((one, index) => [one, `volume ${index}`]))
        const { service, container } = written(await configOf({ deploymentConfig: { volumes } }), undefined, yaml)
        const targets = (at(service, 'volumes') as { target: string }[]).map(({ target }) => plain(target))
        const mounted = (at(container, 'volumeMounts') as { mountPath: string }[]).map(({ mountPath }) => mountPath)
        const expected = ['/root/.kiq', ...paths.map((one) => posix.normalize(one))]
        expect(targets).toEqual(expected)
        expect(mounted).toEqual(expected)
      }),
    )
  })

  it('has one line for each comment, and one for each instruction, whatever is in them', async () => {
    const instruction = /^(#|$|(FROM|ENV|RUN|USER|COPY|WORKDIR|EXPOSE|STOPSIGNAL|CMD|ENTRYPOINT) )/
    await fc.assert(
      fc.asyncProperty(text, text, text, async (appPrefix, command, module) => {
        fc.pre(appPrefix.trim() !== '' && command.trim() !== '')
        const config = await configOf({
          appPrefix,
          buildConfig: { extraRunCommands: [command] },
          deploymentConfig: {
            gpu: [`${appPrefix}x`],
            region: appPrefix,
            cloudBucketMounts: [{ ...BUCKET, bucketName: appPrefix, keyPrefix: appPrefix, secret: appPrefix }],
          },
        })
        const { dockerfile, texts, compose, kind } = written(config, { module }, '1.1')
        const [command64] = dockerfile.filter((line) => line.startsWith('CMD ')).map((line) => line.slice(4))
        expect(JSON.parse(command64 ?? '[]')).toContain(module)
        expect(dockerfile.filter((line) => !instruction.test(line))).toEqual([])
        expect(Object.keys(compose)).toEqual(['name', 'services', 'volumes'])
        expect(at(kind('PersistentVolume'), 'spec', 'csi', 'volumeAttributes', 'bucketName')).toBe(appPrefix)
        for (const one of Object.values(texts)) expect(one).not.toMatch(/[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]/)
      }),
    )
  })
})

describe('names', () => {
  it('are valid for DNS with room for an ending', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (value) => {
        expect(dnsName(value)).toMatch(/^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/)
      }),
    )
  })

  it('are different where the texts are, and the same where they are', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', 'A', 'a_', '-a', 'a-2', 'ä', 'b', 'x'.repeat(60), 'x'.repeat(61))),
        (given) => {
          const names = new Names()
          const made = new Map(given.map((value) => [value, names.of(value)]))
          expect(new Set(made.values()).size).toBe(made.size)
          for (const [value, one] of made) expect(names.of(value)).toBe(one)
        },
      ),
    )
  })

  it('of files are valid keys of Secrets, each once', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' })), (given) => {
        const keys = new FileKeys()
        const made = given.map((value) => keys.next(value))
        expect(new Set(made).size).toBe(given.length)
        for (const key of made) expect(key).toMatch(/^[A-Za-z0-9_][\w.-]*$/)
      }),
    )
  })
})
