import type { ConfigNote, ConfigWarning } from './finding.ts'
import type { ConfigOrigin } from './origin.ts'

/** What `loadServeConfig` gives: the settings with every default filled in, frozen. */
export interface ServeConfig extends ServeSettings {
  /** `appPrefix` and `appPostfix` together: the name of the service. */
  readonly appName: string
  /** The files that were read, weakest first, as they were named. */
  readonly files: readonly string[]
  readonly warnings: readonly ConfigWarning[]
  /** The settings that were given and mean something else here than on Modal. */
  readonly notes: readonly ConfigNote[]
  /** Where values come from, by their path in the YAML tree. What is not listed is a default. */
  readonly origins: Readonly<Record<string, ConfigOrigin>>
}

/** The tree of a file, in camel case. */
export interface ServeSettings {
  /** @defaultValue `'-dev'` */
  readonly appPostfix: string
  readonly appSettings: AppSettings
  readonly modelSettings: ModelSettings
}

export interface AppSettings {
  /** Required. Name of the service, without the postfix. */
  readonly appPrefix: string
  readonly buildConfig: BuildSettings
  readonly deploymentConfig: DeploymentSettings
  readonly batchConfig: BatchSettings
  readonly queueConfig: QueueSettings
  readonly authConfig: AuthSettings
  readonly asyncConfig: AsyncSettings
  readonly httpConfig: HttpSettings
}

/** For generated deployment files only. */
export interface BuildSettings {
  /** @defaultValue `null` */
  readonly image: string | null
  /** @defaultValue `null` */
  readonly tag: string | null
  /** @defaultValue `'/root'` */
  readonly workdir: string
  /** @defaultValue `{}` */
  readonly env: Readonly<Record<string, string>>
  /** @defaultValue `[]` */
  readonly extraRunCommands: readonly string[]
}

export interface DeploymentSettings {
  /** @defaultValue `null` */
  readonly region: string | null
  /** @defaultValue `[]` */
  readonly gpu: readonly string[]
  /** CPUs, not necessarily whole. @defaultValue `null` */
  readonly cpu: number | null
  /** MiB. @defaultValue `null` */
  readonly memory: number | null
  /** Path of the mount → name of the volume. @defaultValue `{}` */
  readonly volumes: Readonly<Record<string, string>>
  /** Seconds; -1: before every batch; `null`: never. @defaultValue `-1` */
  readonly volumeReloadIntervalSeconds: number | null
  /** 0: none while there is nothing to do. @defaultValue `1` */
  readonly minContainers: number
  /** `null`: no limit. @defaultValue `null` */
  readonly concurrencyLimit: number | null
  /** @defaultValue `1` */
  readonly retries: number
  /** @defaultValue `[]` */
  readonly secrets: readonly string[]
  /** @defaultValue `[]` */
  readonly mounts: readonly MountSettings[]
  /** Seconds. @defaultValue `180` */
  readonly containerIdleTimeout: number
  /** @defaultValue `1` */
  readonly allowConcurrentInputs: number
  /** @defaultValue `10` */
  readonly allowConcurrentInputsHandler: number
  /** @defaultValue `false` */
  readonly secure: boolean
  /** @defaultValue `null` */
  readonly healthCheckPath: string | null
  /** @defaultValue `[]` */
  readonly cloudBucketMounts: readonly BucketMountSettings[]
}

export interface MountSettings {
  readonly localPath: string
  readonly remotePath: string
  /** @defaultValue `'file'` */
  readonly type: 'file' | 'dir'
}

export interface BucketMountSettings {
  readonly mountPoint: string
  readonly bucketName: string
  /** @defaultValue `null` */
  readonly bucketEndpointUrl: string | null
  /** @defaultValue `null` */
  readonly keyPrefix: string | null
  /** Name of a secret. @defaultValue `null` */
  readonly secret: string | null
  /** @defaultValue `null` */
  readonly oidcAuthRoleArn: string | null
  /** @defaultValue `false` */
  readonly readOnly: boolean
  /** @defaultValue `false` */
  readonly requesterPays: boolean
}

export interface BatchSettings {
  /** @defaultValue `1` */
  readonly maxBatchSize: number
  /** Milliseconds that a batch waits for more. @defaultValue `0` */
  readonly waitMs: number
  /** Requests that may wait. @defaultValue `1000` */
  readonly maxQueueSize: number
  /** Whether the size of batches follows their duration. @defaultValue `false` */
  readonly adaptive: boolean
  /** Seconds that a batch may run; `null`: no limit. @defaultValue `null` */
  readonly timeout: number | null
}

export interface QueueSettings {
  /** Name of a queue backend; `none` sends nothing. @defaultValue `'none'` */
  readonly backend: string
  /** @defaultValue `'memory://'` */
  readonly brokerUrl: string
}

export interface AuthSettings {
  /** The keys of `api_keys`, `api_key` and `api_keys_file`, each once; none: whoever asks is served. */
  readonly apiKeys: readonly string[]
  /**
   * A file with one key a line, looked for beside the configuration that names it, else in the working directory; lines
   * that begin with `#` are comments.
   *
   * @defaultValue `null`
   */
  readonly apiKeysFile: string | null
  /** Name of the header, in lower case. @defaultValue `'x-api-key'` */
  readonly authHeader: string
  /** @defaultValue `null` */
  readonly ssmKey: string | null
}

export interface AsyncSettings {
  /** Seconds that one execution of a job may take. @defaultValue `3600` */
  readonly timeout: number
  /** Seconds for which the result of a job is kept. @defaultValue `86400` */
  readonly resultTtl: number
  /**
   * URL of the broker that keeps the jobs, as `createBroker` takes it.
   *
   * @defaultValue `null`: a file in `.kiq`, of the name of the service
   */
  readonly brokerUrl: string | null
  /** Signs webhooks. @defaultValue `null`: they are not signed */
  readonly webhookSecret: string | null
  /** Hosts that webhooks may name, `*.example.com` for all below; none: any. @defaultValue `[]` */
  readonly webhookHosts: readonly string[]
}

export interface HttpSettings {
  /** @defaultValue `'127.0.0.1'` */
  readonly host: string
  /** 0: any free one. @defaultValue `8000` */
  readonly port: number
  /** Bytes of a request's body. @defaultValue `10485760`, 10 MiB */
  readonly maxPayloadBytes: number
  /** Seconds for a request to be answered. @defaultValue `60` */
  readonly requestTimeout: number
}

export interface ModelSettings {
  /** As written: relative to the working directory. @defaultValue `'./models'` */
  readonly localModelRepositoryFolder: string
  /** Required. Name of the model → its settings, as written. */
  readonly modelEntries: Readonly<Record<string, unknown>>
  /** For every model, as written. @defaultValue `{}` */
  readonly common: Readonly<Record<string, unknown>>
}

/** Some of the settings. */
export type PartialSettings<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: PartialSettings<T[K]> | undefined }
    : T
