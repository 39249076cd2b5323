export { deploymentFiles } from './deployment-files.ts'
export { DRAIN_SECONDS } from './options.ts'
export type { DeploymentFile, ManifestOptions } from './options.ts'
