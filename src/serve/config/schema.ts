import { field, required, section, sections, sub } from './reader.ts'
import type { Note, Reader } from './reader.ts'
import {
  apiKeys,
  decimal,
  flag,
  freeMap,
  headerName,
  integer,
  oneOf,
  orNull,
  seconds,
  text,
  textMap,
  texts,
} from './readers.ts'
import type {
  AppSettings,
  AsyncSettings,
  AuthSettings,
  BatchSettings,
  BucketMountSettings,
  BuildSettings,
  DeploymentSettings,
  HttpSettings,
  ModelSettings,
  MountSettings,
  QueueSettings,
  ServeSettings,
} from './settings.ts'

const becomes = (message: string): Note => ({ effect: 'translated', message: `is translated: ${message}.` })
const manifest: Note = { effect: 'manifest', message: 'is used only in generated deployment files.' }
const ignored = (message: string): Note => ({ effect: 'ignored', message: `has no effect: ${message}` })

const textOrNull = orNull(text())
const hiddenTextOrNull: Reader<string | null> = { ...textOrNull, secret: true }

const buildConfig = section<BuildSettings>({
  image: field(textOrNull, null, manifest),
  tag: field(textOrNull, null, manifest),
  workdir: field(text(), '/root', manifest),
  env: field(textMap, {}, manifest),
  extraRunCommands: field(texts, [], manifest),
})

const mount = section<MountSettings>({
  localPath: required(text()),
  remotePath: required(text()),
  type: field(oneOf('file', 'dir'), 'file'),
})

const bucketMount = section<BucketMountSettings>({
  mountPoint: required(text()),
  bucketName: required(text()),
  bucketEndpointUrl: field(textOrNull, null),
  keyPrefix: field(textOrNull, null),
  secret: field(textOrNull, null),
  oidcAuthRoleArn: field(textOrNull, null),
  readOnly: field(flag, false),
  requesterPays: field(flag, false),
})

const deploymentConfig = section<DeploymentSettings>({
  region: field(textOrNull, null, manifest),
  gpu: field(texts, [], becomes('the devices that worker processes are given')),
  cpu: field(orNull(decimal({ min: 0 })), null, becomes('threads for inference, and a limit in deployment files')),
  memory: field(
    orNull(integer({ min: 1 })),
    null,
    becomes('MiB for a worker process, and a limit in deployment files'),
  ),
  volumes: field(textMap, {}, manifest),
  volumeReloadIntervalSeconds: field(orNull(integer({ min: -1 })), -1),
  minContainers: field(integer({ min: 0 }), 1, becomes('worker processes that are kept without work')),
  concurrencyLimit: field(orNull(integer({ min: 1 })), null, becomes('the most worker processes')),
  retries: field(integer({ min: 0 }), 1, becomes('more attempts at a batch that failed with an error worth one')),
  secrets: field(texts, [], manifest),
  mounts: field(sections(mount), [], manifest),
  containerIdleTimeout: field(
    decimal({ min: 0 }),
    180,
    becomes('seconds after which a worker process without work is stopped'),
  ),
  allowConcurrentInputs: field(integer({ min: 1 }), 1, becomes('batches at a time in a worker process')),
  allowConcurrentInputsHandler: field(
    integer({ min: 1 }),
    10,
    ignored('a process takes as many HTTP requests as come. What may wait is bounded by max_queue_size.'),
  ),
  secure: field(flag, false, becomes('the headers Modal-Key and Modal-Secret are one more form of credentials')),
  healthCheckPath: field(textOrNull, null, becomes('one more path of /health/ready')),
  cloudBucketMounts: field(sections(bucketMount), [], manifest),
})

const batchConfig = section<BatchSettings>({
  maxBatchSize: field(integer({ min: 1 }), 1),
  waitMs: field(decimal({ min: 0 }), 0),
  maxQueueSize: field(integer({ min: 1 }), 1_000),
  adaptive: field(flag, false),
  timeout: field(orNull(seconds), null),
})

const authConfig = section<AuthSettings>({
  apiKeys: field(apiKeys, []),
  apiKeysFile: field(textOrNull, null),
  authHeader: field(headerName, 'x-api-key'),
  ssmKey: field(textOrNull, null, ignored('keys are not fetched from AWS. Give them as api_keys or api_keys_file.')),
})

const appSettings = section<AppSettings>({
  appPrefix: required(text()),
  buildConfig: sub(buildConfig),
  deploymentConfig: sub(deploymentConfig),
  batchConfig: sub(batchConfig),
  queueConfig: sub(section<QueueSettings>({ backend: field(text(), 'none'), brokerUrl: field(text(), 'memory://') })),
  authConfig: sub(authConfig),
  asyncConfig: sub(
    section<AsyncSettings>({
      timeout: field(seconds, 3_600),
      resultTtl: field(seconds, 86_400),
      brokerUrl: field(textOrNull, null),
      webhookSecret: field(hiddenTextOrNull, null),
      webhookHosts: field(texts, []),
    }),
  ),
  httpConfig: sub(
    section<HttpSettings>({
      host: field(text(), '127.0.0.1'),
      port: field(integer({ min: 0, max: 65_535 }), 8_000),
      maxPayloadBytes: field(integer({ min: 1 }), 10 * 1_024 * 1_024),
      requestTimeout: field(seconds, 60),
    }),
  ),
})

/** All there is to set, by the names of ModalKit's file, with what Kiq adds. */
export const SCHEMA: Reader<ServeSettings> = section<ServeSettings>({
  appPostfix: field(text({ empty: 'allowed' }), '-dev'),
  appSettings: sub(appSettings),
  modelSettings: sub(
    section<ModelSettings>({
      localModelRepositoryFolder: field(text(), './models'),
      modelEntries: required(freeMap),
      common: field(freeMap, {}),
    }),
  ),
})
