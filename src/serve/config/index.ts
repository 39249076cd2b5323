export { ServeConfigError } from './finding.ts'
export type { ConfigFinding, ConfigNote, ConfigProblem, ConfigWarning } from './finding.ts'
export { loadServeConfig } from './load.ts'
export type { LoadConfigOptions } from './load.ts'
export type { ConfigOrigin } from './origin.ts'
export { printConfig } from './print.ts'
export type {
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
  PartialSettings,
  QueueSettings,
  ServeConfig,
  ServeSettings,
} from './settings.ts'
