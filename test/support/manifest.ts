import { parseAllDocuments } from 'yaml'

import type { PartialSettings, ServeConfig, ServeSettings } from '../../src/serve/config/index.ts'
import { loadServeConfig } from '../../src/serve/config/index.ts'
import { deploymentFiles } from '../../src/serve/manifest/index.ts'
import type { ManifestOptions } from '../../src/serve/manifest/index.ts'
import { recordingLogger } from './recording-logger.ts'

/** A configuration without files: required settings, and these. */
export async function configOf(
  appSettings: PartialSettings<ServeSettings['appSettings']> = {},
  modelEntries: Readonly<Record<string, unknown>> = { m: {} },
): Promise<ServeConfig> {
  const overrides = {
    appPostfix: '',
    appSettings: { appPrefix: 'shop', ...appSettings },
    modelSettings: { modelEntries },
  }
  return await loadServeConfig([], { env: {}, logger: recordingLogger(), overrides })
}

export type Yaml = Readonly<Record<string, never>>

/** What was written, read back. */
export interface Written {
  readonly texts: Readonly<Record<string, string>>
  readonly dockerfile: readonly string[]
  readonly ignored: readonly string[]
  readonly compose: Yaml
  /** The only service. */
  readonly service: Yaml
  readonly kubernetes: readonly Yaml[]
  /** The spec of the Pods. */
  readonly pod: Yaml
  readonly container: Yaml
  /** The part of this kind that was written first. */
  kind(kind: string): Yaml | undefined
}

export function written(
  config: ServeConfig,
  options: ManifestOptions = { module: 'serve.ts' },
  version: '1.1' | '1.2' = '1.2',
): Written {
  const texts = Object.fromEntries(deploymentFiles(config, options).map(({ path, text }) => [path, text]))
  const parse = (path: string): Yaml[] =>
    [...parseAllDocuments(texts[path] ?? '', { version })].map((document) => {
      if (document.errors[0] !== undefined) throw document.errors[0]
      return document.toJS() as Yaml
    })
  const kubernetes = parse('kubernetes.yaml')
  const [compose = {}] = parse('compose.yaml')
  const pod = at(kubernetes[0], 'spec', 'template', 'spec') as Yaml
  return {
    texts,
    dockerfile: (texts['Dockerfile'] ?? '').split('\n'),
    ignored: (texts['.dockerignore'] ?? '').split('\n'),
    compose,
    service: Object.values(at(compose, 'services') ?? {})[0] as Yaml,
    kubernetes,
    pod,
    container: at(pod, 'containers', 0) as Yaml,
    kind: (kind) => kubernetes.find((part) => at(part, 'kind') === kind),
  }
}

/** What is there, or `undefined` where the path ends before. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  let current = value
  for (const key of path) current = (current as Record<string, unknown> | null | undefined)?.[key]
  return current
}
