import { describe, expect, it } from 'vitest'

import { configFolder, MINIMAL, refusal } from '../../../test/support/config-folder.ts'
import { ConfigError } from '../../contract/index.ts'
import { loadServeConfig } from './index.ts'
import type { ServeConfigError } from './index.ts'

describe('the files', () => {
  it('are read one over the other: maps are merged, lists replaced, and the later one wins', async () => {
    const folder = configFolder({
      'a.yaml': MINIMAL,
      'b.yaml': 'app_settings: {batch_config: {max_batch_size: 4, wait_ms: 5}, deployment_config: {gpu: [A, B]}}',
      'c.yaml': 'app_settings: {batch_config: {max_batch_size: 8}, deployment_config: {gpu: [C]}}',
    })
    const config = await loadServeConfig(['a.yaml', ' b.yaml ', 'c.yaml'], folder)
    expect(config.appSettings.batchConfig).toMatchObject({ maxBatchSize: 8, waitMs: 5 })
    expect(config.appSettings.deploymentConfig.gpu).toEqual(['C'])
    expect(config.files).toEqual(['a.yaml', 'b.yaml', 'c.yaml'])
    expect(config.origins['app_settings.batch_config.max_batch_size']).toMatchObject({ file: 'c.yaml', line: 1 })
    expect(config.origins['app_settings.batch_config.wait_ms']).toMatchObject({ file: 'b.yaml' })
    expect(config.origins['app_settings.batch_config.adaptive']).toBeUndefined()
  })

  it('may be named in one text, with commas and spaces', async () => {
    const folder = configFolder({ 'a.yaml': MINIMAL, 'b.yaml': 'app_settings: {batch_config: {wait_ms: 7}}' })
    const config = await loadServeConfig(' a.yaml , b.yaml, ', folder)
    expect(config.appSettings.batchConfig.waitMs).toBe(7)
  })

  it.each([
    ['KIQ_CONFIG before MODALKIT_CONFIG', { KIQ_CONFIG: 'a.yaml', MODALKIT_CONFIG: 'b.yaml' }, 'a.yaml'],
    ['MODALKIT_CONFIG where KIQ_CONFIG is empty', { KIQ_CONFIG: ' ', MODALKIT_CONFIG: 'b.yaml' }, 'b.yaml'],
    ['kiq.yaml before modalkit.yaml', {}, 'kiq.yaml'],
  ])('are those of %s', async (_name, env: Record<string, string>, expected) => {
    const files = { 'a.yaml': MINIMAL, 'b.yaml': MINIMAL, 'kiq.yaml': MINIMAL, 'modalkit.yaml': 'not: read' }
    const config = await loadServeConfig(undefined, configFolder(files, env))
    expect(config.files).toEqual([expected])
    expect(config.warnings).toEqual([])
  })

  it('are modalkit.yaml where there is no kiq.yaml, and none where there is neither', async () => {
    expect((await loadServeConfig(undefined, configFolder({ 'modalkit.yaml': MINIMAL }))).files).toEqual([
      'modalkit.yaml',
    ])
    const env = { KIQ_APP_SETTINGS__APP_PREFIX: 'shop', KIQ_MODEL_SETTINGS__MODEL_ENTRIES: '{}' }
    expect((await loadServeConfig(undefined, configFolder({}, env))).files).toEqual([])
    expect((await loadServeConfig([], configFolder({ 'kiq.yaml': '[' }, env))).files).toEqual([])
  })

  it('may be named by a variable of .env', async () => {
    const folder = configFolder({ '.env': 'KIQ_CONFIG=deep/a.yaml', 'deep/a.yaml': MINIMAL })
    expect((await loadServeConfig(undefined, folder)).files).toEqual(['deep/a.yaml'])
  })

  it('have to exist when they are named, and what they may have had is not reported as missing', async () => {
    const folder = configFolder({ 'a.yaml': 'app_settings: {app_prefix: []}' })
    const message = await refusal(loadServeConfig('a.yaml,b.yaml,.', folder))
    expect(message.split('\n')).toEqual([
      'The configuration has 3 problems. Correct what is listed here:',
      `  ${folder.cwd}/b.yaml does not exist. Name a file that does, or create it.`,
      expect.stringMatching(/^ {2}\S+ cannot be read: EISDIR.*\. Name a file of YAML that this process may read\.$/),
      '  a.yaml:1:28: app_settings.app_prefix is []; expected text that is not empty.',
    ])
  })

  it.each(['', ' , '])('cannot be named %j', async (files) => {
    await expect(loadServeConfig(files, configFolder({}))).rejects.toThrow('names no configuration file')
  })

  it('take nothing away by a section without settings, but by a map of the user that is null', async () => {
    const folder = configFolder({
      'a.yaml': MINIMAL + 'app_postfix: -a',
      'b.yaml': 'app_settings: {batch_config: {wait_ms: 5}, deployment_config: {volumes: {/a: b}}}',
      'c.yaml': 'app_settings:\n  batch_config:\n  deployment_config: {volumes: null}\nmodel_settings:\n',
    })
    const { appSettings } = await loadServeConfig('a.yaml,b.yaml,c.yaml', folder)
    expect(appSettings.batchConfig.waitMs).toBe(5)
    expect(appSettings.deploymentConfig.volumes).toEqual({})
  })

  it('are not read when .env cannot be', async () => {
    const folder = configFolder({ 'kiq.yaml': MINIMAL, '.env/file': '' })
    expect(await refusal(loadServeConfig('kiq.yaml', folder))).toMatch(/\.env cannot be read: EISDIR/)
  })

  it('may be empty, or nothing but comments', async () => {
    const folder = configFolder({ 'a.yaml': '', 'b.yaml': '# nothing\n---\n', 'c.yaml': MINIMAL })
    expect((await loadServeConfig('a.yaml,b.yaml,c.yaml', folder)).appName).toBe('shop-dev')
  })

  it('share parts by anchors, aliases and merge keys', async () => {
    const text = [
      'model_settings:',
      '  model_entries:',
      '    a: &a {size: 1, name: a}',
      '    b: {<<: *a, name: b}',
      '    c: {<<: [*a, {more: 1, size: 2}]}',
      '    d: *a',
      'app_settings: {app_prefix: shop}',
    ].join('\n')
    const { modelSettings, origins } = await loadServeConfig('kiq.yaml', configFolder({ 'kiq.yaml': text }))
    expect(modelSettings.modelEntries).toEqual({
      a: { size: 1, name: 'a' },
      b: { size: 1, name: 'b' },
      c: { size: 1, name: 'a', more: 1 },
      d: { size: 1, name: 'a' },
    })
    expect(origins['model_settings.model_entries.b.size']).toMatchObject({ line: 3 })
  })
})

describe('what is not YAML', () => {
  it.each([
    ['a: [1', /^ {2}kiq\.yaml:1:\d+: not YAML: /m],
    ['a: 1\na: 2', /^ {2}kiq\.yaml:2:1: not YAML: Map keys must be unique/m],
    ['a: 1\n---\nb: 1', /^ {2}kiq\.yaml:2:1: not YAML: /m],
    ['- 1', /^ {2}kiq\.yaml:1:1: the file is not a map/m],
    ['text', /^ {2}kiq\.yaml:1:1: the file is not a map/m],
    ['a: *b', /^ {2}kiq\.yaml:1:4: .*\*?b/m],
    ['a: &b [*b]', /^ {2}kiq\.yaml:1:8: the alias \*b contains itself/m],
    ['? [a]\n: 1', /^ {2}kiq\.yaml:1:3: a key is a map or a list/m],
    ['<<: 1', /^ {2}kiq\.yaml:1:5: `<<` merges maps only/m],
  ])('is refused with its place: %j', async (text, expected) => {
    expect(await refusal(loadServeConfig('kiq.yaml', configFolder({ 'kiq.yaml': text })))).toMatch(expected)
  })

  it('is a warning where it is a tag that nobody knows', async () => {
    const text = MINIMAL.replace('shop', '!x shop')
    const config = await loadServeConfig('kiq.yaml', configFolder({ 'kiq.yaml': text }))
    expect(config.warnings.map(({ message }) => message)).toEqual([expect.stringMatching(/^kiq\.yaml:1:28: .*tag/i)])
  })
})

describe('the error', () => {
  it('lists all problems, each with its place, its path, its value and what is expected', async () => {
    const text = [
      'app_settings:',
      '  batch_config:',
      '    max_batch_size: many',
      '    wait_ms: -1',
      '  deployment_config:',
      '    mounts:',
      '      - local_path: a',
      'model_settings: 7',
    ].join('\n')
    const folder = configFolder(
      { 'kiq.yaml': text, '.env': 'MODALKIT_APP_SETTINGS__HTTP_CONFIG__PORT=99999' },
      { KIQ_APP_SETTINGS__ASYNC_CONFIG__TIMEOUT: '0' },
    )
    const overrides = { appSettings: { batchConfig: { adaptive: 'maybe' as unknown as boolean } } }
    const promise = loadServeConfig('kiq.yaml', { ...folder, overrides })
    const error = await promise.catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ConfigError)
    expect(error).toMatchObject({ code: 'KIQ_CONFIG_INVALID', name: 'ServeConfigError' })
    const { message, problems } = error as ServeConfigError
    expect(message.split('\n').slice(1).sort()).toEqual(
      [
        '  KIQ_APP_SETTINGS__ASYNC_CONFIG__TIMEOUT: app_settings.async_config.timeout is 0; expected a number of seconds greater than 0.',
        '  MODALKIT_APP_SETTINGS__HTTP_CONFIG__PORT in .env: app_settings.http_config.port is 99999; expected a whole number from 0 to 65535.',
        '  kiq.yaml:2:3: app_settings.app_prefix is missing; expected text that is not empty. Set it in a file, or as KIQ_APP_SETTINGS__APP_PREFIX.',
        '  kiq.yaml:3:21: app_settings.batch_config.max_batch_size is "many"; expected a whole number of at least 1.',
        '  kiq.yaml:4:14: app_settings.batch_config.wait_ms is -1; expected a number of at least 0.',
        '  kiq.yaml:7:9: app_settings.deployment_config.mounts[0].remote_path is missing; expected text that is not empty. Add it there.',
        '  kiq.yaml:8:17: model_settings is 7; expected a map of settings.',
        '  overrides: app_settings.batch_config.adaptive is "maybe"; expected true or false.',
      ].sort(),
    )
    expect(problems.find(({ path }) => path.endsWith('max_batch_size'))?.origin).toEqual({
      from: 'file',
      file: 'kiq.yaml',
      line: 3,
      column: 21,
    })
  })
})

describe('keys that nothing reads', () => {
  it('are warnings with their place and the nearest name, and are logged', async () => {
    const text = [
      'app_settings:',
      '  app_prefix: shop',
      '  batch_confg: {}',
      '  batch_config:',
      '    maxBatchSize: 4',
      '  deployment_config:',
      '    mounts: [{local_path: a, remote_path: b, kind: dir}]',
      'model_settings:',
      '  model_entries: {a: {anything: 1}}',
      '  common: {whatever: 1}',
      'completely: other',
    ].join('\n')
    const folder = configFolder({ 'kiq.yaml': text })
    const { warnings } = await loadServeConfig('kiq.yaml', folder)
    expect(warnings.map(({ message }) => message)).toEqual([
      'kiq.yaml:11:1: nothing reads completely. Known here: app_postfix, app_settings, model_settings.',
      'kiq.yaml:3:3: nothing reads app_settings.batch_confg. Did you mean batch_config?',
      'kiq.yaml:7:46: nothing reads app_settings.deployment_config.mounts[0].kind. Known here: local_path, remote_path, type.',
      'kiq.yaml:5:5: nothing reads app_settings.batch_config.maxBatchSize. Did you mean max_batch_size?',
    ])
    const logged = folder.logger.lines.filter(({ level }) => level === 'warn')
    expect(logged.map(({ message }) => message)).toEqual(warnings.map(({ message }) => message))
  })
})

describe('the result', () => {
  it('is frozen all the way down', async () => {
    const text = 'app_settings: {app_prefix: a}\nmodel_settings: {model_entries: {m: {list: [{a: 1}]}}}'
    const config = await loadServeConfig('kiq.yaml', configFolder({ 'kiq.yaml': text }))
    expect(unfrozen(config)).toEqual([])
  })

  it('keeps keys of models and of common as they are written, even odd ones', async () => {
    const text =
      'app_settings: {app_prefix: a}\nmodel_settings: {common: {__proto__: {x: 1}, Aa_b: 1, 3: c}, model_entries: {}}'
    const config = await loadServeConfig('kiq.yaml', configFolder({ 'kiq.yaml': text }))
    expect(Object.entries(config.modelSettings.common)).toEqual(
      expect.arrayContaining([
        ['__proto__', { x: 1 }],
        ['Aa_b', 1],
        ['3', 'c'],
      ]),
    )
    expect(({} as { x?: number }).x).toBeUndefined()
  })

  it('notes what means something else than on Modal, and says so to the logger', async () => {
    const text = [
      'app_settings:',
      '  app_prefix: a',
      '  deployment_config: {region: eu, gpu: null, concurrency_limit: 2}',
      '  auth_config: {ssm_key: /a/b}',
      'model_settings: {model_entries: {}}',
    ].join('\n')
    const folder = configFolder({ 'kiq.yaml': text })
    const { notes } = await loadServeConfig('kiq.yaml', folder)
    expect(notes.map(({ path, effect }) => [path.split('.').at(-1), effect])).toEqual([
      ['region', 'manifest'],
      ['gpu', 'translated'],
      ['concurrency_limit', 'translated'],
      ['ssm_key', 'ignored'],
    ])
    expect(notes[2]?.message).toBe(
      'kiq.yaml:3:65: app_settings.deployment_config.concurrency_limit is translated: the most worker processes.',
    )
    expect(folder.logger.lines.map(({ level }) => level)).toEqual(['info', 'info', 'info', 'info'])
  })
})

function unfrozen(value: unknown, path = ''): readonly string[] {
  if (typeof value !== 'object' || value === null) return []
  const below = Object.entries(value).flatMap(([key, one]) => unfrozen(one, `${path}.${key}`))
  return Object.isFrozen(value) ? below : [path, ...below]
}
