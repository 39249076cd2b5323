import { describe, expect, it } from 'vitest'

import { configFolder } from '../../../test/support/config-folder.ts'
import { at, configOf, written } from '../../../test/support/manifest.ts'
import { loadServeConfig } from '../config/index.ts'

const TEXT = `
app_settings:
  app_prefix: shop
  build_config: { env: { HF_TOKEN: hidden-1, DB: "pg://me:hidden-2@db/0", SHOWN: yes } }
  deployment_config:
    secrets: [STRIPE_KEY, hf-secret, ./certs/ca.pem]
    mounts: [{ local_path: conf/prod.yaml, remote_path: conf/prod.yaml }]
    cloud_bucket_mounts: [{ mount_point: /b, bucket_name: b, secret: bucket-keys }]
  queue_config: { backend: redis, broker_url: "redis://me:hidden-3@db/0" }
  auth_config: { api_keys: [hidden-4], api_keys_file: keys.txt }
  async_config: { webhook_secret: hidden-10 }
model_settings: { common: { api_key: hidden-5 }, model_entries: { m: { password: hidden-6 } } }
`
const VARIABLE = 'KIQ_APP_SETTINGS__AUTH_CONFIG__API_KEYS'

async function files() {
  const folder = configFolder(
    {
      'conf/prod.yaml': TEXT,
      'conf/keys.txt': 'hidden-7\n',
      'conf/.env': 'KIQ_MODEL_SETTINGS__COMMON__TOKEN=hidden-8',
    },
    { [VARIABLE]: '[hidden-9]' },
  )
  return written(await loadServeConfig('conf/prod.yaml', folder))
}

describe('secrets of the configuration', () => {
  it('are in no file', async () => {
    const { texts } = await files()
    expect(JSON.stringify(texts)).not.toContain('hidden')
    expect(texts['Dockerfile']).toContain('ENV SHOWN="yes"')
  })

  it('come from Secrets in Kubernetes, and the file says how to make them', async () => {
    const { container, pod, texts } = await files()
    const env = at(container, 'env') as { name: string; valueFrom: { secretKeyRef: object } }[]
    expect(env.map(({ name }) => name).sort()).toEqual(
      ['DB', 'HF_TOKEN', 'KIQ_MODEL_SETTINGS__COMMON__TOKEN', 'STRIPE_KEY', VARIABLE].sort(),
    )
    for (const { name, valueFrom } of env) {
      expect(valueFrom).toEqual({ secretKeyRef: { name: 'shop-dev-env', key: name } })
    }
    expect(at(container, 'envFrom')).toEqual([{ secretRef: { name: 'hf-secret' } }])
    expect(at(pod, 'volumes', 0, 'secret', 'secretName')).toBe('shop-dev-files')
    expect(at(container, 'volumeMounts')).toEqual(
      expect.arrayContaining([
        { name: 'files', mountPath: '/root/conf/prod.yaml', subPath: 'prod.yaml', readOnly: true },
        { name: 'files', mountPath: '/root/conf/keys.txt', subPath: 'keys.txt', readOnly: true },
        { name: 'files', mountPath: '/root/certs/ca.pem', subPath: 'ca.pem', readOnly: true },
      ]),
    )
    expect(texts['kubernetes.yaml']).toContain(`--from-literal=${VARIABLE}="$${VARIABLE}"`)
    expect(texts['kubernetes.yaml']).toContain(
      '# ' +
        '  kubectl create secret generic shop-dev-files --from-file=prod.yaml=conf/prod.yaml ' +
        '--from-file=keys.txt=conf/keys.txt --from-file=ca.pem=certs/ca.pem',
    )
    expect(texts['kubernetes.yaml']).toContain('kubectl create secret generic hf-secret --from-env-file=hf-secret.env')
  })

  it('come from files and the environment in Compose', async () => {
    const { compose, service } = await files()
    expect(at(service, 'environment', VARIABLE)).toBe(`\${${VARIABLE}?}`)
    expect(at(service, 'environment', 'STRIPE_KEY')).toBe('${STRIPE_KEY?}')
    expect(at(service, 'env_file')).toEqual(['./hf-secret.env'])
    expect(at(compose, 'secrets', 'prod.yaml')).toEqual({ file: './conf/prod.yaml' })
    expect(at(service, 'secrets', 0)).toEqual({ source: 'prod.yaml', target: '/root/conf/prod.yaml' })
  })

  it('are kept out of the image, together with the configuration', async () => {
    const { ignored, dockerfile } = await files()
    expect(ignored).toEqual(
      expect.arrayContaining(['**/.env', '**/*.env', 'conf/prod.yaml', 'conf/keys.txt', 'certs/ca.pem', 'kiq.yaml']),
    )
    // It is mounted under the name that it was read by.
    expect(dockerfile).toContain('ENV KIQ_CONFIG="conf/prod.yaml"')
    expect(dockerfile.filter((line) => line.startsWith('COPY ['))).toEqual([])
  })

  it('have Secrets of different names', async () => {
    const { container } = written(await configOf({ deploymentConfig: { secrets: ['shop-env', 'shop_env', 'A'] } }))
    expect(at(container, 'envFrom')).toEqual([
      { secretRef: { name: 'shop-env' } },
      { secretRef: { name: 'shop-env-2' } },
    ])
    expect(at(container, 'env', 0, 'valueFrom', 'secretKeyRef', 'name')).toBe('shop-env-own')
  })
})
