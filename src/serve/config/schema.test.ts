import { describe, expect, it } from 'vitest'

import { configFolder, MINIMAL, refusal } from '../../../test/support/config-folder.ts'
import { loadServeConfig } from './index.ts'
import type { ServeConfig } from './index.ts'

const CONTRACT = `
app_settings:
  app_prefix: sentiment
  batch_config:
    max_batch_size: 16
    wait_ms: 5
  queue_config:
    backend: memory
  auth_config:
    api_keys: [your-token]
  async_config:
    timeout: 3600
    result_ttl: 86400
model_settings:
  local_model_repository_folder: ./models
  common: {}
  model_entries:
    sentiment-analyzer: { threshold: 0.5 }
`

/** One setting, in a file of its own over the required ones. */
async function withSetting(path: string, value: string): Promise<ServeConfig> {
  const text = path.split('.').reduceRight((inner, key) => `{${key}: ${inner}}`, value)
  const folder = configFolder({ 'kiq.yaml': MINIMAL, 'one.yaml': text })
  return loadServeConfig('kiq.yaml,one.yaml', folder)
}

function at(config: unknown, path: string): unknown {
  const camel = path.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
  return camel.split('.').reduce((value, key) => (value as Record<string, unknown>)[key], config)
}

describe('a configuration', () => {
  it('has every default when it has only what is required', async () => {
    const config = await loadServeConfig('kiq.yaml', configFolder({ 'kiq.yaml': MINIMAL }))
    const { appName, appPostfix, appSettings, modelSettings } = config
    expect({ appName, appPostfix, appSettings, modelSettings }).toEqual({
      appName: 'shop-dev',
      appPostfix: '-dev',
      appSettings: {
        appPrefix: 'shop',
        buildConfig: { image: null, tag: null, workdir: '/root', env: {}, extraRunCommands: [] },
        deploymentConfig: {
          region: null,
          gpu: [],
          cpu: null,
          memory: null,
          volumes: {},
          volumeReloadIntervalSeconds: -1,
          minContainers: 1,
          concurrencyLimit: null,
          retries: 1,
          secrets: [],
          mounts: [],
          containerIdleTimeout: 180,
          allowConcurrentInputs: 1,
          allowConcurrentInputsHandler: 10,
          secure: false,
          healthCheckPath: null,
          cloudBucketMounts: [],
        },
        batchConfig: { maxBatchSize: 1, waitMs: 0, maxQueueSize: 1_000, adaptive: false, timeout: null },
        queueConfig: { backend: 'none', brokerUrl: 'memory://' },
        authConfig: { apiKeys: [], apiKeysFile: null, authHeader: 'x-api-key', ssmKey: null },
        asyncConfig: { timeout: 3_600, resultTtl: 86_400, brokerUrl: null, webhookSecret: null, webhookHosts: [] },
        httpConfig: { host: '127.0.0.1', port: 8_000, maxPayloadBytes: 10_485_760, requestTimeout: 60 },
      },
      modelSettings: { localModelRepositoryFolder: './models', modelEntries: {}, common: {} },
    })
    expect(config.warnings).toEqual([])
    expect(config.notes).toEqual([])
  })

  it('of the contract program is read without a warning', async () => {
    const config = await loadServeConfig('kiq.yaml', configFolder({ 'kiq.yaml': CONTRACT }))
    expect(config.appName).toBe('sentiment-dev')
    expect(config.appSettings.batchConfig).toMatchObject({ maxBatchSize: 16, waitMs: 5 })
    expect(config.appSettings.queueConfig.backend).toBe('memory')
    expect(config.appSettings.authConfig.apiKeys).toEqual(['your-token'])
    expect(config.modelSettings.modelEntries).toEqual({ 'sentiment-analyzer': { threshold: 0.5 } })
    expect([...config.warnings, ...config.notes]).toEqual([])
  })

  it('names all that is required and missing', async () => {
    const message = await refusal(loadServeConfig([], configFolder({})))
    expect(message.split('\n').slice(1)).toEqual([
      '  app_settings.app_prefix is missing; expected text that is not empty. Set it in a file, or as KIQ_APP_SETTINGS__APP_PREFIX.',
      '  model_settings.model_entries is missing; expected a map. Set it in a file, or as KIQ_MODEL_SETTINGS__MODEL_ENTRIES.',
    ])
  })

  it('may have empty sections', async () => {
    const text = MINIMAL.replace('shop', 'shop, batch_config: , auth_config: ~, deployment_config: {}')
    const config = await loadServeConfig('kiq.yaml', configFolder({ 'kiq.yaml': text }))
    expect(config.appSettings.batchConfig.maxBatchSize).toBe(1)
  })
})

const D = 'app_settings.deployment_config'
const B = 'app_settings.batch_config'

describe('the setting', () => {
  const fits: readonly [path: string, yaml: string, expected: unknown][] = [
    ['app_postfix', '-live', '-live'],
    ['app_postfix', '""', ''],
    ['app_settings.app_prefix', 'other', 'other'],
    ['app_settings.build_config.image', 'a/b', 'a/b'],
    ['app_settings.build_config.tag', '1.10', '1.10'],
    ['app_settings.build_config.workdir', '/app', '/app'],
    ['app_settings.build_config.env', '{A: 1, B: "", C: true}', { A: '1', B: '', C: 'true' }],
    ['app_settings.build_config.extra_run_commands', 'apt-get update', ['apt-get update']],
    ['app_settings.build_config.extra_run_commands', '[a, b]', ['a', 'b']],
    [`${D}.region`, 'eu-west', 'eu-west'],
    [`${D}.gpu`, 'A100', ['A100']],
    [`${D}.gpu`, '[A100, "T4:2"]', ['A100', 'T4:2']],
    [`${D}.gpu`, 'null', []],
    [`${D}.cpu`, '0.5', 0.5],
    [`${D}.memory`, '2048', 2_048],
    [`${D}.volumes`, '{/models: weights}', { '/models': 'weights' }],
    [`${D}.volumes`, 'null', {}],
    [`${D}.volume_reload_interval_seconds`, '60', 60],
    [`${D}.volume_reload_interval_seconds`, 'null', null],
    [`${D}.min_containers`, '2', 2],
    [`${D}.concurrency_limit`, '4', 4],
    [`${D}.retries`, '0', 0],
    [`${D}.secrets`, '[a]', ['a']],
    [`${D}.mounts`, '[{local_path: a, remote_path: b}]', [{ localPath: 'a', remotePath: 'b', type: 'file' }]],
    [`${D}.mounts`, '[{local_path: a, remote_path: b, type: dir}]', [{ localPath: 'a', remotePath: 'b', type: 'dir' }]],
    [`${D}.container_idle_timeout`, '30', 30],
    [`${D}.allow_concurrent_inputs`, '"3"', 3],
    [`${D}.allow_concurrent_inputs_handler`, '50', 50],
    [`${D}.secure`, 'true', true],
    [`${D}.secure`, 'yes', true],
    [`${D}.secure`, 'Off', false],
    [`${D}.health_check_path`, '/health', '/health'],
    [
      `${D}.cloud_bucket_mounts`,
      '[{mount_point: /m, bucket_name: b, bucket_endpoint_url: "https://e", key_prefix: p/, secret: s, oidc_auth_role_arn: r, read_only: true, requester_pays: on}]',
      [
        {
          mountPoint: '/m',
          bucketName: 'b',
          bucketEndpointUrl: 'https://e',
          keyPrefix: 'p/',
          secret: 's',
          oidcAuthRoleArn: 'r',
          readOnly: true,
          requesterPays: true,
        },
      ],
    ],
    [`${B}.max_batch_size`, '16', 16],
    [`${B}.wait_ms`, '2.5', 2.5],
    [`${B}.max_queue_size`, '10', 10],
    [`${B}.adaptive`, 'true', true],
    [`${B}.timeout`, '1.5', 1.5],
    [`${B}.timeout`, '~', null],
    ['app_settings.queue_config.backend', 'sqs', 'sqs'],
    ['app_settings.queue_config.broker_url', 'redis://localhost:6379', 'redis://localhost:6379'],
    ['app_settings.auth_config.auth_header', 'X-My-Key', 'x-my-key'],
    ['app_settings.auth_config.ssm_key', '/a', '/a'],
    ['app_settings.async_config.timeout', '5', 5],
    ['app_settings.async_config.result_ttl', '6', 6],
    ['app_settings.http_config.host', '0.0.0.0', '0.0.0.0'],
    ['app_settings.http_config.port', '0', 0],
    ['app_settings.http_config.max_payload_bytes', '1', 1],
    ['app_settings.http_config.request_timeout', '0.5', 0.5],
    ['model_settings.local_model_repository_folder', '/models', '/models'],
    ['model_settings.model_entries', '{a: {x: [1, {y: null}]}, b: }', { a: { x: [1, { y: null }] }, b: null }],
    ['model_settings.common', 'null', {}],
    ['model_settings.common', '{a_b: 1}', { a_b: 1 }],
  ]

  it.each(fits)('%s takes %s', async (path, yaml, expected) => {
    const config = await withSetting(path, yaml)
    expect(at(config, path)).toEqual(expected)
    expect(config.warnings).toEqual([])
    // Of a map that was merged, the first place counts.
    const file = path === 'model_settings.model_entries' ? 'kiq.yaml' : 'one.yaml'
    expect(config.origins[path]).toMatchObject({ from: 'file', file })
  })

  const misfits: readonly [path: string, yaml: string, expected: string][] = [
    ['app_postfix', 'null', 'is null; expected text'],
    ['app_settings', '[]', 'is []; expected a map of settings'],
    ['app_settings.app_prefix', '" "', 'is " "; expected text that is not empty'],
    ['app_settings.app_prefix', '{a: 1}', 'is {"a":1}; expected text'],
    ['app_settings.build_config.env', '[a]', 'is ["a"]; expected a map of texts'],
    ['app_settings.build_config.extra_run_commands', '{a: 1}', 'is {"a":1}; expected text or a list of texts'],
    [`${D}.cpu`, 'few', 'is "few"; expected a number of at least 0, or null'],
    [`${D}.volumes`, 'text', 'is "text"; expected a map of texts'],
    [`${D}.volume_reload_interval_seconds`, '-2', 'is -2; expected a whole number of at least -1, or null'],
    [`${D}.concurrency_limit`, '0', 'is 0; expected a whole number of at least 1, or null'],
    [`${D}.retries`, '1.5', 'is 1.5; expected a whole number of at least 0'],
    [`${D}.retries`, 'null', 'is null; expected a whole number'],
    [`${D}.mounts`, '{}', 'is {}; expected a list of maps'],
    [`${D}.secure`, '2', 'is 2; expected true or false'],
    [`${D}.secure`, 'si', 'is "si"; expected true or false'],
    [`${B}.max_batch_size`, '0', 'is 0; expected a whole number of at least 1'],
    [`${B}.max_batch_size`, '[1]', 'is [1]; expected a whole number'],
    [`${B}.max_batch_size`, '.inf', 'is .inf; expected a whole number'],
    [`${B}.wait_ms`, '.nan', 'is .nan; expected a number of at least 0'],
    [`${B}.timeout`, '0', 'is 0; expected a number of seconds greater than 0, or null'],
    ['app_settings.auth_config.auth_header', 'a b', 'is "a b"; expected the name of an HTTP header'],
    ['app_settings.http_config.port', '65536', 'is 65536; expected a whole number from 0 to 65535'],
    ['model_settings.model_entries', '[a]', 'is ["a"]; expected a map'],
    ['model_settings.common', '1', 'is 1; expected a map'],
  ]

  it.each(misfits)('%s refuses %s', async (path, yaml, expected) => {
    const message = await refusal(withSetting(path, yaml))
    expect(message).toContain(` ${path} ${expected}`)
    expect(message).toMatch(/^ {2}one\.yaml:1:\d+: /m)
  })

  it.each([
    ['mounts', '[{local_path: a, remote_path: b, type: link}]', 'mounts[0].type is "link"; expected file or dir'],
    ['mounts', '[x]', 'mounts[0] is "x"; expected a map of settings'],
    ['cloud_bucket_mounts', '[{mount_point: a}]', 'cloud_bucket_mounts[0].bucket_name is missing'],
    ['secrets', '[a, [b]]', 'secrets[1] is ["b"]; expected text'],
    ['volumes', '{"/a b": [x]}', 'volumes["/a b"] is ["x"]; expected text'],
  ])('%s refuses %s and names the part', async (key, yaml, expected) => {
    expect(await refusal(withSetting(`${D}.${key}`, yaml))).toContain(`${D}.${expected}`)
  })
})

describe('API keys', () => {
  const keysOf = async (auth: string, env: Record<string, string> = {}, files: Record<string, string> = {}) => {
    const text = MINIMAL.replace('shop', `shop, auth_config: ${auth}`)
    const config = await loadServeConfig('conf/kiq.yaml', configFolder({ 'conf/kiq.yaml': text, ...files }, env))
    return config.appSettings.authConfig.apiKeys
  }

  it.each([
    ['{api_keys: [a, b, a]}', ['a', 'b']],
    ['{api_keys: a}', ['a']],
    ['{api_key: a}', ['a']],
    ['{api_key: 0123}', ['0123']],
    ['{api_keys: [a], api_key: b}', ['a', 'b']],
    ['{api_keys: , api_key: b}', ['b']],
    ['{api_keys: []}', []],
    ['{api_keys: ["${FROM_ENV}", b]}', ['secret', 'b']],
  ])('of %s are read', async (auth, expected) => {
    expect(await keysOf(auth, { FROM_ENV: 'secret' })).toEqual(expected)
  })

  it('come from a file beside the configuration that names it, without its comments', async () => {
    const files = { 'conf/keys': '# ours\nfirst\r\n\n  second\nb\n' }
    expect(await keysOf('{api_key: b, api_keys_file: keys}', {}, files)).toEqual(['b', 'first', 'second'])
  })

  it('come from a file in the working directory when the environment names it', async () => {
    const env = { KIQ_APP_SETTINGS__AUTH_CONFIG__API_KEYS_FILE: 'keys' }
    expect(await keysOf('{}', env, { keys: 'k' })).toEqual(['k'])
  })

  it('of a stronger layer replace those of a weaker one under either name', async () => {
    expect(await keysOf('{api_keys: [a]}', { KIQ_APP_SETTINGS__AUTH_CONFIG__API_KEY: 'b' })).toEqual(['b'])
    expect(await keysOf('{api_key: a}', { KIQ_APP_SETTINGS__AUTH_CONFIG__API_KEYS: '[b, c]' })).toEqual(['b', 'c'])
  })

  it.each([
    ['{api_keys: ["", secret-1]}', 'expected a key or a list of keys'],
    ['{api_keys: {secret-1: 1}}', 'is a value that is not shown here'],
    ['{api_keys: [[secret-1]]}', 'is a value that is not shown here'],
    ['{api_key: "${NOT_SET}"}', 'is ${NOT_SET}, and no variable NOT_SET is set'],
    ['{api_keys_file: nowhere}', 'is nowhere, which cannot be read: ENOENT'],
    ['{api_keys_file: empty}', 'has no key. Write one a line'],
  ])('%s are refused, and none is shown', async (auth, expected) => {
    const message = await refusal(keysOf(auth, {}, { 'conf/empty': '# none\n' }))
    expect(message).toContain(expected)
    expect(message).toMatch(/^ {2}conf\/kiq\.yaml:1:\d+: app_settings\.auth_config\.api_keys/m)
    expect(message).not.toContain('secret-1')
  })
})
