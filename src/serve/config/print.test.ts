import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'

import { configFolder, MINIMAL } from '../../../test/support/config-folder.ts'
import { loadServeConfig, printConfig } from './index.ts'

const TEXT = `
app_settings:
  app_prefix: shop
  build_config: { tag: 1.10, env: { A: b, HF_TOKEN: hidden-1 } }
  deployment_config: { gpu: [T4, A100], mounts: [{ local_path: a, remote_path: b }] }
  queue_config: { backend: redis, broker_url: "redis://me:hidden-2@host/0" }
  auth_config: { api_keys: [hidden-3, hidden-4] }
model_settings:
  common: { api_key: hidden-5, pad_token: shown, nested: [{ password: hidden-6 }] }
  model_entries: { "a b": { threshold: 0.5 }, c: {} }
`

describe('printConfig()', () => {
  it('gives every setting with its origin', async () => {
    const env = { KIQ_APP_SETTINGS__BATCH_CONFIG__WAIT_MS: '5' }
    const folder = configFolder({ 'kiq.yaml': TEXT, '.env': 'MODALKIT_APP_POSTFIX=-x' }, env)
    const overrides = { appSettings: { httpConfig: { port: 0 } } }
    const lines = printConfig(await loadServeConfig('kiq.yaml', { ...folder, overrides })).split('\n')
    expect(lines).toEqual(
      expect.arrayContaining([
        '# shop-x: kiq.yaml',
        'app_postfix: -x # MODALKIT_APP_POSTFIX in .env',
        '  app_prefix: shop # kiq.yaml:3:15',
        '    tag: "1.10" # kiq.yaml:4:24',
        '    gpu: [ T4, A100 ] # kiq.yaml:5:29',
        '      - local_path: a # kiq.yaml:5:64',
        '        type: file # default',
        '    wait_ms: 5 # KIQ_APP_SETTINGS__BATCH_CONFIG__WAIT_MS',
        '    max_batch_size: 1 # default',
        '    port: 0 # overrides',
        '    timeout: null # default',
        '      threshold: 0.5 # kiq.yaml:10:40',
        '    c: {} # kiq.yaml:10:50',
      ]),
    )
  })

  it('shows no secret', async () => {
    const text = printConfig(await loadServeConfig('kiq.yaml', configFolder({ 'kiq.yaml': TEXT })))
    expect(text).not.toContain('hidden')
    expect(text).toContain('api_keys: [ "***", "***" ]')
    expect(text).toContain('broker_url: redis://me:***@host/0')
    expect(text).toContain('pad_token: shown')
  })

  it('is a file that gives the same configuration, but for secrets', async () => {
    const folder = configFolder({
      'kiq.yaml': MINIMAL.replace('{}', '{"a b": {x: [1, {y: null}], "3": "4", t: "true"}}'),
    })
    const config = await loadServeConfig('kiq.yaml', folder)
    const again = await loadServeConfig('kiq.yaml', configFolder({ 'kiq.yaml': printConfig(config) }))
    expect(again.appSettings).toEqual(config.appSettings)
    expect(again.modelSettings).toEqual(config.modelSettings)
    expect(again.warnings).toEqual([])
    expect(parse(printConfig(config))).toHaveProperty('app_settings.app_prefix', 'shop')
  })
})
