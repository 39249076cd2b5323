import { describe, expect, it } from 'vitest'

import { configFolder, MINIMAL } from '../../../test/support/config-folder.ts'
import { loadServeConfig } from './index.ts'

const SIZE = 'APP_SETTINGS__BATCH_CONFIG__MAX_BATCH_SIZE'

async function sizeOf(env: Record<string, string>, dotEnv = ''): Promise<number> {
  const folder = configFolder({ 'kiq.yaml': MINIMAL, '.env': dotEnv }, env)
  return (await loadServeConfig('kiq.yaml', folder)).appSettings.batchConfig.maxBatchSize
}

describe('a variable of the environment', () => {
  it.each([
    ['with the prefix KIQ_', { [`KIQ_${SIZE}`]: '8' }, 8],
    ['with the prefix MODALKIT_', { [`MODALKIT_${SIZE}`]: '8' }, 8],
    ['in small letters', { [`kiq_${SIZE.toLowerCase()}`]: '8' }, 8],
    ['KIQ_ rather than MODALKIT_', { [`MODALKIT_${SIZE}`]: '8', [`KIQ_${SIZE}`]: '9' }, 9],
    ['of a whole section', { KIQ_APP_SETTINGS: '{batch_config: {max_batch_size: 7}}' }, 7],
    [
      'of one setting rather than of its section',
      { [`KIQ_${SIZE}`]: '9', KIQ_APP_SETTINGS: '{batch_config: {max_batch_size: 7}}' },
      9,
    ],
    ['unless it is empty', { [`KIQ_${SIZE}`]: ' ' }, 1],
  ])('sets a value: %s', async (_name, env, expected) => {
    expect(await sizeOf(env as Record<string, string>)).toBe(expected)
  })

  it.each([
    ['{}', {}, `KIQ_${SIZE}=4`, 4],
    ['the same', { [`KIQ_${SIZE}`]: '8' }, `KIQ_${SIZE}=4`, 8],
    ['the other prefix', { [`MODALKIT_${SIZE}`]: '8' }, `KIQ_${SIZE}=4`, 8],
    ['quotes', {}, `export KIQ_${SIZE}="4" # four`, 4],
  ])('is stronger than .env: %s', async (_name, env: Record<string, string>, dotEnv, expected) => {
    expect(await sizeOf(env, dotEnv)).toBe(expected)
  })

  it('is read from the .env beside the first file, else from that in the working directory', async () => {
    const files = { 'a/kiq.yaml': MINIMAL, 'b/kiq.yaml': MINIMAL, '.env': `KIQ_${SIZE}=2`, 'a/.env': `KIQ_${SIZE}=3` }
    const folder = configFolder(files)
    const [a, b] = await Promise.all([loadServeConfig('a/kiq.yaml', folder), loadServeConfig('b/kiq.yaml', folder)])
    expect([a, b].map(({ appSettings }) => appSettings.batchConfig.maxBatchSize)).toEqual([3, 2])
    expect(a.origins['app_settings.batch_config.max_batch_size']).toEqual({
      from: 'environment',
      variable: `KIQ_${SIZE}`,
      file: 'a/.env',
    })
  })

  const texts: readonly [text: string, expected: unknown][] = [
    ['1.10', 1.1],
    ['true', true],
    ['null', null],
    ['"1"', '1'],
    ["'a'", 'a'],
    ['[1, a, {b: c}]', [1, 'a', { b: 'c' }]],
    ['{a: 1}', { a: 1 }],
    ['a b', 'a b'],
    ['a: b', 'a: b'],
    ['- a', '- a'],
    ['#abc', '#abc'],
    ['a #b', 'a #b'],
    ['*x', '*x'],
    ['[*x]', '[*x]'],
    ['!x y', '!x y'],
    ['@x', '@x'],
    ['[a', '[a'],
    ['|', '|'],
    ['redis://:p@h:1/0?a=b#c', 'redis://:p@h:1/0?a=b#c'],
    ['two\nlines', 'two\nlines'],
  ]

  it.each(texts)('%j has the value %j', async (text, expected) => {
    const env = { KIQ_MODEL_SETTINGS__COMMON__VALUE: text }
    const { modelSettings } = await loadServeConfig('kiq.yaml', configFolder({ 'kiq.yaml': MINIMAL }, env))
    expect(modelSettings.common).toEqual({ value: expected })
  })

  it.each(['1.10', '{x}', '[a]', '007', 'true', 'a: b'])('stays the text %j where text is expected', async (text) => {
    const env = { KIQ_APP_SETTINGS__APP_PREFIX: text }
    const { appSettings } = await loadServeConfig('kiq.yaml', configFolder({ 'kiq.yaml': MINIMAL }, env))
    expect(appSettings.appPrefix).toBe(text)
  })

  it('reaches models whose names have capitals and dashes', async () => {
    const text = 'app_settings: {app_prefix: a}\nmodel_settings: {model_entries: {My-Model: {Top_K: 1, size: 2}}}'
    const env = {
      KIQ_MODEL_SETTINGS__MODEL_ENTRIES__MY_MODEL__TOP_K: '5',
      KIQ_MODEL_SETTINGS__MODEL_ENTRIES__OTHER: '{x: 1}',
    }
    const { modelSettings, origins } = await loadServeConfig('kiq.yaml', configFolder({ 'kiq.yaml': text }, env))
    expect(modelSettings.modelEntries).toEqual({ 'My-Model': { Top_K: 5, size: 2 }, other: { x: 1 } })
    expect(origins['model_settings.model_entries.My-Model.Top_K']).toMatchObject({ from: 'environment' })
  })

  it('that nothing reads is a warning that names it; those of others are left alone', async () => {
    const env = {
      KIQ_APP_SETTINGS__BATCH_CONFIG__MAX_BATCHSIZE: '8',
      KIQ_APP_SETTING__APP_PREFIX: 'x',
      KIQ_LOG_LEVEL: 'debug',
      KIQ_OTHER__THING: '1',
      KIQ_CONFIG: 'kiq.yaml',
      kiqapp: '1',
    }
    const { warnings } = await loadServeConfig(undefined, configFolder({ 'kiq.yaml': MINIMAL }, env))
    expect(warnings.map(({ message }) => message)).toEqual([
      'KIQ_APP_SETTING__APP_PREFIX: nothing reads app_setting. Did you mean app_settings?',
      'KIQ_APP_SETTINGS__BATCH_CONFIG__MAX_BATCHSIZE: nothing reads app_settings.batch_config.max_batchsize. Did you mean max_batch_size?',
    ])
  })

  it('is weaker than an override, in camel case or as in YAML', async () => {
    const env = { [`KIQ_${SIZE}`]: '8', KIQ_APP_POSTFIX: '-env' }
    const folder = configFolder({ 'kiq.yaml': MINIMAL }, env)
    const overrides = { appPostfix: undefined, appSettings: { batchConfig: { maxBatchSize: 9 } } }
    const config = await loadServeConfig('kiq.yaml', { ...folder, overrides })
    expect(config.appSettings.batchConfig.maxBatchSize).toBe(9)
    expect(config.appName).toBe('shop-env')
    expect(config.origins['app_settings.batch_config.max_batch_size']).toEqual({ from: 'overrides' })
    const asInYaml = { app_settings: { batch_config: { wait_ms: 3 } } } as object
    const other = await loadServeConfig('kiq.yaml', { ...folder, overrides: asInYaml })
    expect(other.appSettings.batchConfig).toMatchObject({ maxBatchSize: 8, waitMs: 3 })
  })
})
