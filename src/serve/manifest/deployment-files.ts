import type { ServeConfig } from '../config/settings.ts'
import { compose } from './compose.ts'
import { dockerfile } from './dockerfile.ts'
import { dockerignore } from './dockerignore.ts'
import { kubernetes } from './kubernetes.ts'
import type { DeploymentFile, ManifestOptions } from './options.ts'
import { planOf } from './plan.ts'

/**
 * A `Dockerfile`, with `.dockerignore`, and files for Docker Compose and Kubernetes that run a service. Reads and writes
 * nothing. They hold no secret: files of the configuration, and variables that set something, are referred to by name.
 *
 * @throws {ServeConfigError} `KIQ_CONFIG_INVALID` with every setting that no such file can express.
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` when `nodeVersion` is none.
 */
export function deploymentFiles(config: ServeConfig, options: ManifestOptions): readonly DeploymentFile[] {
  const plan = planOf(config, options)
  return [
    { path: 'Dockerfile', text: dockerfile(plan) },
    { path: plan.folder === '.' ? '.dockerignore' : 'Dockerfile.dockerignore', text: dockerignore(plan) },
    { path: 'compose.yaml', text: compose(plan) },
    { path: 'kubernetes.yaml', text: kubernetes(plan) },
  ]
}
