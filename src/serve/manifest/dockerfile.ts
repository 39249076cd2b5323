import { posix } from 'node:path'

import type { Copy } from './files.ts'
import type { Plan } from './plan.ts'
import { escapeUnprintable, quoted, shellWord } from './text.ts'

/** Owner of everything that the service writes. Numbers, so that Kubernetes can see that it is not root. */
export const USER_ID = 1000

/** The packages that are needed, exactly as the lock file names them. */
const INSTALL: Readonly<Record<Plan['packageManager'], readonly string[]>> = {
  npm: ['COPY package.json package-lock.json .npmrc* ./', 'RUN npm ci --omit=dev'],
  pnpm: [
    'COPY package.json pnpm-lock.yaml pnpm-workspace.yaml* .npmrc* ./',
    'RUN corepack enable pnpm && pnpm install --prod --frozen-lockfile',
  ],
  yarn: [
    '# For Yarn 4 with `nodeLinker: node-modules`. Yarn 1: yarn install --production --frozen-lockfile',
    'COPY package.json yarn.lock .yarnrc.yml* ./',
    'RUN corepack enable yarn && yarn workspaces focus --all --production',
  ],
}

export function dockerfile(plan: Plan): string {
  const how = plan.folder === '.' ? '.' : `: docker build -f ${shellWord(posix.join(plan.folder, 'Dockerfile'))} .`
  const { workdir, variables, files, config, jobs } = plan
  const folders = [
    ...new Set([workdir, ...(jobs.kind === 'file' ? [jobs.folder] : []), ...plan.volumes.map(({ target }) => target)]),
  ]
  const blocks = [
    [
      `# Made by \`kiq serve manifest\` for ${quoted(config.appName)}. Build it in the folder of package.json${how}`,
      ...typescriptNote(plan),
    ],
    from(plan),
    ['ENV NODE_ENV=production', ...configVariable(plan), ...variables.image.map(([name, value]) => env(name, value))],
    config.appSettings.buildConfig.extraRunCommands.map(run),
    [`WORKDIR ${word(workdir)}`],
    installBlock(plan),
    ['COPY . .', ...files.copies.map(copy)],
    ['# What the service writes to.', `RUN ${json(install(folders.filter((folder) => folder !== '/')))}`],
    [
      `USER ${USER_ID}:${USER_ID}`,
      `EXPOSE ${plan.port}`,
      'STOPSIGNAL SIGTERM',
      '# Not by npx, which does not hand on every signal.',
      `CMD ${json(plan.command)}`,
    ],
  ]
  return (
    blocks
      .filter((block) => block.length > 0)
      .map((block) => block.join('\n'))
      .join('\n\n') + '\n'
  )
}

function from({ base }: Plan): readonly string[] {
  if (base.nodeFrom === undefined) return [`FROM ${base.reference}`]
  return [
    `FROM ${base.nodeFrom} AS node`,
    '',
    `FROM ${base.reference}`,
    'USER root',
    '# Needs glibc. Without these lines the image has to have Node itself.',
    'COPY --from=node /usr/local/bin/node /usr/local/bin/node',
    'COPY --from=node /usr/local/lib/node_modules /usr/local/lib/node_modules',
    'RUN cd /usr/local/bin && ln -sf ../lib/node_modules/npm/bin/npm-cli.js npm && ' +
      'ln -sf ../lib/node_modules/npm/bin/npx-cli.js npx && ln -sf ../lib/node_modules/corepack/dist/corepack.js corepack',
    'ENTRYPOINT []',
  ]
}

function installBlock({ packageManager }: Plan): readonly string[] {
  return ['# A token in .npmrc would stay in the image: hand it over as a build secret.', ...INSTALL[packageManager]]
}

/** Node strips types from 22.18 on. */
function typescriptNote({ module, nodeVersion }: Plan): readonly string[] {
  const [major = 24, minor] = nodeVersion.split('.').map(Number)
  const strips = Number.isNaN(major) || major > 22 || (major === 22 && (minor === undefined || minor >= 18))
  if (strips || !/\.m?ts(:|$)/.test(module)) return []
  return ['# This version of Node loads TypeScript through tsx: have tsx in "dependencies".']
}

/** Files that are not found by their names. */
function configVariable({ config: { files } }: Plan): readonly string[] {
  const isFound = files.length === 0 || (files.length === 1 && /^(kiq|modalkit)\.yaml$/.test(files[0] ?? ''))
  return isFound ? [] : [env('KIQ_CONFIG', files.join(','))]
}

function env(name: string, value: string): string {
  return `ENV ${name}=${word(value, 'quote')}`
}

/** Between double quotes these three are special; elsewhere much more is. */
function word(value: string, style: 'plain' | 'quote' = 'plain'): string {
  if (style === 'plain' && /^[\w./-]+$/.test(value)) return value
  return `"${value.replace(/["\\$]/g, '\\$&')}"`
}

/** As it was written where a Dockerfile leaves that alone, else as a list, whose texts nothing touches. */
function run(command: string): string {
  const text = command.trim()

  const isPlain = !/[\0-\x1f\x7f-\x9f\u2028\u2029]|\\$|<<|^\[|^#/.test(text)
  return `RUN ${isPlain ? text : json(['/bin/sh', '-c', text])}`
}

function install(folders: readonly string[]): readonly string[] {
  return ['install', '-d', '-o', String(USER_ID), '-g', String(USER_ID), ...folders]
}

function copy({ source, target, type }: Copy): string {
  const to = type === 'dir' ? posix.join(target, '/') : target
  return `COPY ${json([escaped(source.replace(/[*?[]/g, '[$&]')), escaped(to)])}`
}

/** The list form of an instruction. */
function json(words: readonly string[]): string {
  return escapeUnprintable(JSON.stringify(words))
}

/** Paths of COPY go through the same expansion as words do. */
function escaped(path: string): string {
  return path.replace(/["'\\$]/g, '\\$&')
}
