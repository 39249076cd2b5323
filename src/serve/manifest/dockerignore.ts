import { posix } from 'node:path'

import { isInside } from './places.ts'
import type { Plan } from './plan.ts'

/** What no image needs, or may have. */
const ALWAYS = ['**/node_modules', '.git', '.kiq', '**/.env', '**/.env.*', '**/*.env', '**/*.log', 'coverage']

/** Files that are written beside it. */
const OWN = ['.dockerignore', 'Dockerfile', 'Dockerfile.dockerignore', 'compose.yaml', 'kubernetes.yaml']

export function dockerignore({ files, folder }: Plan): string {
  const kept = files.kept.map(pattern)
  const own = OWN.map((name) => posix.join(folder, name)).filter(isInside)
  return [
    '# Made by `kiq serve manifest`.',
    ...ALWAYS,
    ...own.map(pattern),
    '# May hold keys: mounted into the container instead.',
    ...kept,
    '',
  ].join('\n')
}

/** A path as a pattern that matches it. White space at an end would be cut off, and line breaks end a pattern. */
function pattern(path: string): string {
  return path
    .replace(/[*?[\]\\]/g, '\\$&')
    .replace(/^[#!]/, '\\$&')
    .replace(/^\s|\s$|[\r\n]/g, '?')
}
