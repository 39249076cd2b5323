import type { BuildSettings } from '../config/settings.ts'
import type { Problems } from './problems.ts'
import { quoted } from './text.ts'

export interface BaseImage {
  readonly reference: string
  /** The image that Node is copied from, where the base is none of Node's own. */
  readonly nodeFrom: string | undefined
  /** Tag of the image that is built. */
  readonly ownTag: string | undefined
}

const REFERENCE = /^[\w][\w.-]*(:\d+)?(\/[\w][\w.-]*)*(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?$/
const TAG = /^[\w][\w.-]{0,127}$/

/** @param node - The image of Node. */
export function baseImageOf(build: BuildSettings, node: string, problems: Problems): BaseImage {
  const tag = build.tag?.trim() ?? ''
  const image = build.image?.trim() ?? ''
  if (tag !== '' && !TAG.test(tag)) {
    const rule = 'letters, digits, dots, hyphens and underscores, at most 128'
    problems.add('app_settings.build_config.tag', `is ${quoted(tag)}, which is no tag of an image. Use ${rule}.`)
  }
  // Without an image it is no tag of the base.
  if (image === '') return { reference: node, nodeFrom: undefined, ownTag: tag === '' ? undefined : tag }
  if (!REFERENCE.test(image)) {
    const how = 'Use REGISTRY/NAME, NAME or NAME:TAG.'
    problems.add('app_settings.build_config.image', `is ${quoted(image)}, which is no name of an image. ${how}`)
  }
  const last = image.split('/').at(-1) ?? ''
  const isComplete = last.includes(':') || last.includes('@')
  const reference = isComplete || tag === '' ? image : `${image}:${tag}`
  return { reference, nodeFrom: /^node\b/.test(last) ? undefined : node, ownTag: undefined }
}
