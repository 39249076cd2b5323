import { posix } from 'node:path'

import type { ServeConfig } from '../config/settings.ts'
import type { MountPoints } from './places.ts'
import type { Problems } from './problems.ts'

/** Where a service keeps its jobs. */
export type JobsPlace =
  | {
      readonly kind: 'file'
      /** Of the file, in the container. */
      readonly folder: string
    }
  | { readonly kind: 'server' | 'memory' }

/** In which services keep their jobs, in the working directory, when they are not told otherwise. */
const FOLDER = '.kiq'

const SETTING = 'app_settings.async_config.broker_url'

export function jobsOf(config: ServeConfig, points: MountPoints, problems: Problems): JobsPlace {
  const { brokerUrl } = config.appSettings.asyncConfig
  if (brokerUrl === null) return inFolder(FOLDER)
  if (/^memory:/i.test(brokerUrl)) return { kind: 'memory' }
  if (!/^sqlite:/i.test(brokerUrl)) return { kind: 'server' }
  const file = fileOf(brokerUrl)
  if (file === undefined) {
    problems.add(SETTING, 'names no file. Use for example sqlite:./.kiq/jobs.db.')
    return { kind: 'memory' }
  }
  const folder = points.resolve(posix.dirname(file))
  if (folder === points.resolve('.')) {
    problems.add(
      SETTING,
      'is a file in the working directory, over which no volume can be mounted. Use a folder below it.',
    )
  }
  return inFolder(folder)

  function inFolder(path: string): JobsPlace {
    const claimed = points.claim(path, 'the folder of the jobs')
    return { kind: 'file', folder: claimed ?? points.resolve(path) }
  }
}

function fileOf(url: string): string | undefined {
  try {
    return decodeURIComponent(new URL(url).pathname)
  } catch {
    return undefined
  }
}
