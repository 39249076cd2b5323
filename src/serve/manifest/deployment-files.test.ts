import { describe, expect, it } from 'vitest'

import { configFolder } from '../../../test/support/config-folder.ts'
import { at, configOf, written } from '../../../test/support/manifest.ts'
import { loadServeConfig, ServeConfigError } from '../config/index.ts'
import { deploymentFiles, DRAIN_SECONDS } from './index.ts'

const mounts = (given: unknown): unknown[] => (given as { mountPath: string }[]).map(({ mountPath }) => mountPath)

describe('deploymentFiles()', () => {
  it('writes the four files of a service that has no settings of its own', async () => {
    const { texts, dockerfile, service, container, pod, kubernetes } = written(await configOf())
    expect(Object.keys(texts)).toEqual(['Dockerfile', '.dockerignore', 'compose.yaml', 'kubernetes.yaml'])
    expect(dockerfile).toEqual(
      expect.arrayContaining([
        'FROM node:24-bookworm-slim',
        'WORKDIR /root',
        'RUN npm ci --omit=dev',
        'USER 1000:1000',
        'EXPOSE 8000',
        'STOPSIGNAL SIGTERM',
        'CMD ["./node_modules/.bin/kiq","serve","serve.ts","--host","0.0.0.0"]',
      ]),
    )
    expect(service).toMatchObject({ build: '.', image: 'shop', volumes: [{ source: 'jobs', target: '/root/.kiq' }] })
    expect(container).toMatchObject({ name: 'shop', image: 'shop:latest', ports: [{ containerPort: 8000 }] })
    expect(pod).not.toHaveProperty('nodeSelector')
    expect(kubernetes.map((part) => at(part, 'kind'))).toEqual(['StatefulSet', 'Service'])
  })

  it('asks the routes for health, and gives draining its time', async () => {
    const { container, pod, service } = written(await configOf())
    expect(at(container, 'startupProbe', 'httpGet', 'path')).toBe('/health/startup')
    expect(at(container, 'readinessProbe', 'httpGet', 'path')).toBe('/health/ready')
    expect(at(container, 'livenessProbe', 'httpGet', 'path')).toBe('/health/live')
    expect(at(service, 'healthcheck', 'test', 3)).toContain('"http://127.0.0.1:8000/health/ready"')
    expect(at(pod, 'terminationGracePeriodSeconds')).toBeGreaterThan(DRAIN_SECONDS)
    expect(parseInt(String(at(service, 'stop_grace_period')))).toBeGreaterThan(DRAIN_SECONDS)

    const own = written(await configOf({ deploymentConfig: { healthCheckPath: 'healthz' } }))
    expect(at(own.container, 'readinessProbe', 'httpGet', 'path')).toBe('/healthz')
    // What is not ready is not dead.
    expect(at(own.container, 'livenessProbe', 'httpGet', 'path')).toBe('/health/live')
  })

  it('runs without rights that it does not need', async () => {
    const { container, pod, service } = written(await configOf())
    expect(at(pod, 'securityContext')).toMatchObject({ runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000 })
    expect(at(container, 'securityContext')).toEqual({
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
    })
    expect(service).toMatchObject({ cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
  })

  it('gives the container a port that is known', async () => {
    const free = written(await configOf({ httpConfig: { port: 0 } }))
    expect(free.dockerfile.at(-2)).toContain('"--port","8000"]')
    expect(at(free.kind('Service'), 'spec', 'ports', 0)).toEqual({ name: 'http', port: 8000, targetPort: 'http' })
    const low = written(await configOf({ httpConfig: { port: 80 } }))
    expect(at(low.pod, 'securityContext', 'sysctls', 0, 'value')).toBe('80')
    expect(at(low.service, 'ports', 0)).toEqual({ target: 80, published: '80', host_ip: '127.0.0.1' })
    const withKeys = written(await configOf({ authConfig: { apiKeys: ['k'] } }))
    expect(at(withKeys.service, 'ports', 0)).not.toHaveProperty('host_ip')
  })

  it('says what a build needs', async () => {
    const build = {
      image: 'registry.example.com:5000/base/cuda',
      tag: '12.4',
      workdir: '/srv/my app',
      env: { LANG: 'C.UTF-8', LINES: 'a\nb' },
      extraRunCommands: ['apt-get update', 'cat > x <<E\n$1\nE', '--mount=type=cache,target=/c true', 'echo \\'],
    }
    const { dockerfile, service, container } = written(await configOf({ buildConfig: build }))
    expect(dockerfile).toEqual(
      expect.arrayContaining([
        'FROM node:24-bookworm-slim AS node',
        'FROM registry.example.com:5000/base/cuda:12.4',
        'ENTRYPOINT []',
        'ENV LANG="C.UTF-8"',
        'RUN apt-get update',
        'RUN ["/bin/sh","-c","cat > x <<E\\n$1\\nE"]',
        'RUN --mount=type=cache,target=/c true',
        'RUN ["/bin/sh","-c","echo \\\\"]',
        'WORKDIR "/srv/my app"',
        'RUN ["install","-d","-o","1000","-g","1000","/srv/my app","/srv/my app/.kiq"]',
      ]),
    )
    // No line of a Dockerfile holds a line break.
    expect(dockerfile.filter((line) => line.startsWith('ENV LINES'))).toEqual([])
    expect(at(service, 'environment')).toEqual({ LINES: 'a\nb' })
    expect(at(container, 'env')).toEqual([{ name: 'LINES', value: 'a\nb' }])
  })

  it.each([
    [{ image: 'node', tag: '22' }, 'FROM node:22', 'shop:latest'],
    [{ image: 'registry.example.com/team/node:22', tag: '1' }, 'FROM registry.example.com/team/node:22', 'shop:latest'],
    [{ tag: '1.10' }, 'FROM node:24-bookworm-slim', 'shop:1.10'],
  ])('takes the image and the tag of %j', async (buildConfig, from, image) => {
    const { dockerfile, container } = written(await configOf({ buildConfig }))
    expect(dockerfile.filter((line) => line.startsWith('FROM'))).toEqual([from])
    expect(at(container, 'image')).toBe(image)
  })

  it.each([
    ['pnpm', 'RUN corepack enable pnpm && pnpm install --prod --frozen-lockfile'],
    ['yarn', 'RUN corepack enable yarn && yarn workspaces focus --all --production'],
  ] as const)('installs with %s', async (packageManager, line) => {
    const { dockerfile } = written(await configOf(), { module: 'serve.mjs', nodeVersion: '22.9', packageManager })
    expect(dockerfile).toContain(line)
    expect(dockerfile).toContain('FROM node:22.9-bookworm-slim')
  })

  it('counts Pods as Modal counts containers', async () => {
    const scaled = written(await configOf({ deploymentConfig: { minContainers: 2, concurrencyLimit: 5 } }))
    expect(at(scaled.kind('HorizontalPodAutoscaler'), 'spec')).toMatchObject({
      scaleTargetRef: { kind: 'StatefulSet', name: 'shop' },
      minReplicas: 2,
      maxReplicas: 5,
    })
    expect(at(scaled.kubernetes[0], 'spec')).not.toHaveProperty('replicas')
    expect(at(scaled.container, 'resources', 'requests', 'cpu')).toBe('500m')
    // Else each of them would start as many worker processes.
    expect(at(scaled.container, 'env')).toEqual([
      { name: 'KIQ_APP_SETTINGS__DEPLOYMENT_CONFIG__MIN_CONTAINERS', value: '1' },
      { name: 'KIQ_APP_SETTINGS__DEPLOYMENT_CONFIG__CONCURRENCY_LIMIT', value: '1' },
    ])
    const fixed = written(await configOf({ deploymentConfig: { minContainers: 3, concurrencyLimit: 2 } }))
    expect(at(fixed.kubernetes[0], 'spec', 'replicas')).toBe(3)
    expect(fixed.kind('HorizontalPodAutoscaler')).toBeUndefined()
    const none = written(await configOf({ deploymentConfig: { minContainers: 0 } }))
    expect(at(none.kubernetes[0], 'spec', 'replicas')).toBe(1)
  })

  it('keeps jobs in a volume of each Pod, or leaves them to a server', async () => {
    const embedded = written(await configOf())
    expect(at(embedded.kubernetes[0], 'spec', 'volumeClaimTemplates', 0, 'metadata', 'name')).toBe('jobs')
    expect(at(embedded.container, 'volumeMounts')).toEqual([{ name: 'jobs', mountPath: '/root/.kiq' }])

    const redis = await configOf({ asyncConfig: { brokerUrl: 'rediss://:hidden-1@db:6379/0' } })
    const shared = written(redis)
    expect(at(shared.kubernetes[0], 'kind')).toBe('Deployment')
    expect(shared.container).not.toHaveProperty('volumeMounts')
    expect(shared.service).not.toHaveProperty('volumes')
    for (const name of ['compose.yaml', 'kubernetes.yaml']) {
      expect(shared.texts[name]).toContain('# Jobs are kept by the server of async_config.broker_url.')
    }
    expect(JSON.stringify(shared.texts)).not.toContain('hidden')

    const elsewhere = written(await configOf({ asyncConfig: { brokerUrl: 'sqlite:///var/lib/jobs/kiq.db?lease=5s' } }))
    expect(at(elsewhere.container, 'volumeMounts')).toEqual([{ name: 'jobs', mountPath: '/var/lib/jobs' }])
    const forgotten = written(await configOf({ asyncConfig: { brokerUrl: 'memory:' } }))
    expect(at(forgotten.kubernetes[0], 'kind')).toBe('Deployment')
    expect(forgotten.texts['compose.yaml']).toContain('# Jobs are in memory')
  })

  it('refuses a file of jobs over which no volume can be mounted', async () => {
    const config = await configOf({ asyncConfig: { brokerUrl: 'sqlite:kiq.db' } })
    expect(() => written(config)).toThrow('is a file in the working directory')
  })

  it('limits what a container uses, for all of its workers', async () => {
    const deploymentConfig = { cpu: 1.5, memory: 2048, gpu: ['T4', 'A100:2'], concurrencyLimit: 4, region: 'eu-1' }
    const { service, container, pod } = written(await configOf({ deploymentConfig }, { a: {}, b: {} }))
    expect(at(container, 'resources', 'limits')).toEqual({ cpu: '3000m', memory: '4608Mi', 'nvidia.com/gpu': 2 })
    expect(at(service, 'deploy', 'resources', 'limits')).toEqual({ cpus: '12', memory: '16896m' })
    expect(at(service, 'deploy', 'resources', 'reservations', 'devices')).toEqual([
      { driver: 'nvidia', count: 2, capabilities: ['gpu'] },
    ])
    expect(at(pod, 'nodeSelector')).toEqual({ 'topology.kubernetes.io/region': 'eu-1' })
  })

  it('names the devices of one machine', async () => {
    const { service, container } = written(await configOf({ deploymentConfig: { gpu: ['cuda:0', '2', 'cpu'] } }))
    expect(at(service, 'deploy', 'resources', 'reservations', 'devices', 0, 'device_ids')).toEqual(['0', '2'])
    expect(at(container, 'resources', 'limits')).toEqual({ 'nvidia.com/gpu': 2 })
  })

  it('leaves out a region that no label can have, and says so', async () => {
    const { pod, texts } = written(await configOf({ deploymentConfig: { region: 'north\nsea' } }))
    expect(pod).not.toHaveProperty('nodeSelector')
    expect(texts['kubernetes.yaml']).toContain('# The region "north\\nsea" is no value of a label.')
  })

  it('mounts volumes under names that are valid and different', async () => {
    const volumes = { '/data': 'My_Vol', cache: 'my-vol', '/again': 'My_Vol' }
    const config = await configOf({ deploymentConfig: { volumes, concurrencyLimit: 2 } })
    const { compose, service, container, pod, kubernetes, dockerfile } = written(config)
    expect(at(compose, 'volumes')).toEqual({ jobs: {}, 'my-vol': { name: 'my-vol' }, 'my-vol-2': { name: 'my-vol-2' } })
    expect((at(service, 'volumes') as unknown[]).slice(1)).toEqual([
      { type: 'volume', source: 'my-vol', target: '/data' },
      { type: 'volume', source: 'my-vol-2', target: '/root/cache' },
      { type: 'volume', source: 'my-vol', target: '/again' },
    ])
    expect(mounts(at(container, 'volumeMounts'))).toEqual(['/root/.kiq', '/data', '/root/cache', '/again'])
    expect((at(pod, 'volumes') as unknown[]).map((one) => at(one, 'persistentVolumeClaim', 'claimName'))).toEqual([
      'my-vol',
      'my-vol-2',
    ])
    const claims = kubernetes.filter((part) => at(part, 'kind') === 'PersistentVolumeClaim')
    expect(claims.map((part) => at(part, 'metadata', 'name'))).toEqual(['my-vol', 'my-vol-2'])
    expect(claims.map((part) => at(part, 'spec', 'accessModes', 0))).toEqual(['ReadWriteMany', 'ReadWriteMany'])
    expect(dockerfile.find((line) => line.includes('"install"'))).toContain('"/data","/root/cache","/again"')
  })

  it('copies what the project has, and mounts the rest', async () => {
    const deploymentConfig = {
      mounts: [
        { localPath: './weights [a]/$x.bin', remotePath: 'w.bin', type: 'file' as const },
        { localPath: 'data', remotePath: '/data', type: 'dir' as const },
        { localPath: '../shared', remotePath: '/shared', type: 'dir' as const },
        { localPath: '/etc/ca.pem', remotePath: '/ca.pem', type: 'file' as const },
        { localPath: 'prod.env', remotePath: '/prod.env', type: 'file' as const },
      ],
    }
    const { dockerfile, compose, service, container, pod } = written(await configOf({ deploymentConfig }))
    expect(dockerfile.filter((line) => line.startsWith('COPY ['))).toEqual([
      'COPY ["weights [[]a]/\\\\$x.bin","/root/w.bin"]',
      'COPY ["data","/data/"]',
    ])
    expect(at(service, 'volumes', 1)).toMatchObject({ type: 'bind', source: '../shared', target: '/shared' })
    expect(at(compose, 'secrets')).toEqual({ 'ca.pem': { file: '/etc/ca.pem' }, 'prod.env': { file: './prod.env' } })
    expect(mounts(at(container, 'volumeMounts'))).toEqual(['/root/.kiq', '/ca.pem', '/prod.env', '/shared'])
    expect(at(pod, 'volumes', 1, 'hostPath')).toEqual({ path: '/var/lib/kiq/shared', type: 'Directory' })
  })

  it('mounts buckets by a driver of the cluster, or by rclone', async () => {
    const bucket = {
      mountPoint: '/bucket',
      bucketName: 'models',
      bucketEndpointUrl: 'https://s3.example.com',
      keyPrefix: 'v1',
      secret: 's3-keys',
      oidcAuthRoleArn: 'arn:aws:iam::1:role/x',
      readOnly: true,
      requesterPays: true,
    }
    const { texts, service, kind, pod } = written(await configOf({ deploymentConfig: { cloudBucketMounts: [bucket] } }))
    expect(at(kind('PersistentVolume'), 'spec')).toMatchObject({
      mountOptions: expect.arrayContaining([
        'read-only',
        'prefix v1/',
        'endpoint-url https://s3.example.com',
        'requester-pays',
      ]),
      csi: { driver: 's3.csi.aws.com', volumeAttributes: { bucketName: 'models' } },
    })
    expect(at(pod, 'volumes', 0, 'persistentVolumeClaim', 'claimName')).toBe('shop-models')
    expect(at(service, 'volumes', 1)).toMatchObject({
      source: './buckets/shop-models',
      target: '/bucket',
      read_only: true,
    })
    expect(texts['compose.yaml']).toContain(
      "rclone mount ':s3,env_auth:models/v1' ./buckets/shop-models --allow-other --read-only " +
        '--s3-endpoint https://s3.example.com --s3-requester-pays',
    )
    for (const name of ['compose.yaml', 'kubernetes.yaml']) {
      expect(texts[name]).toContain('"s3-keys"')
      expect(texts[name]).toContain('"arn:aws:iam::1:role/x"')
    }
  })

  it('reports everything that cannot be written, with its place', async () => {
    const folder = configFolder({
      'kiq.yaml': `
app_settings:
  app_prefix: shop
  build_config: { image: "a b", tag: "!", env: { "A=B": x }, extra_run_commands: ["curl http://me:hidden@x/"] }
  deployment_config:
    volumes: { /data: a, /data/: b, "c:/x": c }
    cloud_bucket_mounts: [{ mount_point: ., bucket_name: b }, { mount_point: .kiq, bucket_name: b }]
model_settings: { model_entries: {} }
`,
    })
    const config = await loadServeConfig('kiq.yaml', folder)
    let problems: readonly string[] = []
    try {
      deploymentFiles(config, { module: 'serve.ts' })
    } catch (error) {
      if (error instanceof ServeConfigError) problems = error.problems.map(({ message }) => message)
    }
    expect(problems).toEqual([
      expect.stringMatching(/^kiq.yaml:4:\d+: .*extra_run_commands\[0\] has a password in a URL/),
      expect.stringMatching(/^kiq.yaml:4:38: app_settings.build_config.tag is "!"/),
      expect.stringMatching(/^kiq.yaml:4:26: app_settings.build_config.image is "a b"/),
      expect.stringMatching(/build_config.env\["A=B"\] is no name that a variable/),
      expect.stringMatching(/volumes\["\/data\/"\] is mounted at "\/data", and so is .*volumes\["\/data"\]/),
      expect.stringMatching(/volumes\["c:\/x"\] is mounted at "\/root\/c:\/x", where nothing/),
      expect.stringMatching(
        /^kiq.yaml:7:26: .*cloud_bucket_mounts\[1\] is mounted at "\/root\/.kiq", and so is the folder of the jobs/,
      ),
    ])
    expect(problems.join()).not.toContain('hidden')
  })

  it('finds the project from a folder below it', async () => {
    const deploymentConfig = { secrets: ['hf', './ca.pem'] }
    const { texts, service, compose } = written(await configOf({ deploymentConfig }), {
      module: 'serve.ts',
      folder: 'ops/prod',
    })
    expect(Object.keys(texts)).toEqual(['Dockerfile', 'Dockerfile.dockerignore', 'compose.yaml', 'kubernetes.yaml'])
    expect(at(service, 'build')).toEqual({ context: '../..', dockerfile: 'ops/prod/Dockerfile' })
    expect(at(service, 'env_file')).toEqual(['../../hf.env'])
    expect(at(compose, 'secrets')).toEqual({ 'ca.pem': { file: '../../ca.pem' } })
    expect(texts['Dockerfile']).toContain('docker build -f ops/prod/Dockerfile .')
    expect(texts['Dockerfile.dockerignore']?.split('\n')).toContain('ops/prod/compose.yaml')
  })

  it('refuses a version that is none', async () => {
    const config = await configOf()
    expect(() => deploymentFiles(config, { module: 'a.ts', nodeVersion: '24 AS x' })).toThrow(
      '`nodeVersion` is "24 AS x", which is no version.',
    )
  })
})
