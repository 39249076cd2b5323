import { posix } from 'node:path'

import type { BucketMount } from './storage.ts'
import type { Plan } from './plan.ts'
import { composePath } from './places.ts'
import { resourcesOf } from './resources.ts'
import { gpuText, jobsText, literal, note, STOP_SECONDS } from './shared.ts'
import { quoted, shellWord } from './text.ts'
import { writeYaml } from './yaml.ts'
import type { Comment } from './yaml.ts'

/** A service for Docker Compose, on one machine. */
export function compose(plan: Plan): string {
  const { name, files, volumes, jobs: place } = plan
  const secrets = Object.fromEntries(
    files.mounted.map(({ key, source }) => [key, { file: literal(composePath(source, plan.root)) }]),
  )
  const named = Object.fromEntries(
    [...new Set(volumes.map((volume) => volume.name))].map((one) => [one, { name: one }]),
  )
  const jobs = place.kind === 'file' ? { [jobsVolume(plan)]: {} } : {}
  const content = {
    name,
    services: { [name]: service(plan) },
    secrets: orNone(secrets),
    volumes: orNone({ ...jobs, ...named }),
  }
  return writeYaml([{ content, comments: comments(plan) }])
}

function service(plan: Plan): Readonly<Record<string, unknown>> {
  const { name, base, port, hasKeys, variableSets, files, gpus, folder, root } = plan
  const { cpu, memory } = limits(plan)
  const devices =
    gpus.count === 0
      ? undefined
      : [
          gpus.devices.length > 0 && gpus.devices.length === gpus.count
            ? { driver: 'nvidia', device_ids: gpus.devices, capabilities: ['gpu'] }
            : { driver: 'nvidia', count: gpus.count, capabilities: ['gpu'] },
        ]
  return {
    build: folder === '.' ? '.' : { context: literal(root), dockerfile: literal(posix.join(folder, 'Dockerfile')) },
    image: base.ownTag === undefined ? name : `${name}:${base.ownTag}`,
    init: true,
    restart: 'unless-stopped',
    ports: [{ target: port, published: String(port), ...(hasKeys ? {} : { host_ip: '127.0.0.1' }) }],
    environment: orNone(environment(plan)),
    env_file: orNone(variableSets.map((set) => composePath(`${set.name}.env`, plan.root))),
    secrets: orNone(files.mounted.map(({ key, target }) => ({ source: key, target: literal(target) }))),
    volumes: orNone(mounts(plan)),
    stop_grace_period: `${STOP_SECONDS}s`,
    healthcheck: {
      test: ['CMD', 'node', '-e', literal(healthProgram(plan))],
      interval: '10s',
      timeout: '5s',
      start_period: '5m',
      start_interval: '2s',
    },
    cap_drop: ['ALL'],
    security_opt: ['no-new-privileges:true'],
    deploy: orNone({
      resources: orNone({
        limits: orNone({
          cpus: cpu === undefined ? undefined : String(cpu),
          memory: memory === undefined ? undefined : `${memory}m`,
        }),
        reservations: orNone({ devices }),
      }),
    }),
  }
}

/** What is not set where Compose looks is an error then, where the name allows that. */
function environment({ variables }: Plan): Readonly<Record<string, string | null>> {
  const outside = variables.outside.map((name) => [name, /^\w+$/.test(name) ? `\${${name}?}` : null] as const)
  const given = variables.runtime.map(([name, value]) => [name, literal(value)] as const)
  return Object.fromEntries([...given, ...outside])
}

function mounts(plan: Plan): readonly Readonly<Record<string, unknown>>[] {
  const { jobs, volumes, files, buckets } = plan
  return [
    ...(jobs.kind === 'file' ? [volume(jobsVolume(plan), jobs.folder)] : []),
    ...volumes.map(({ name, target }) => volume(name, target)),
    ...files.folders.map(({ source, target }) => ({
      type: 'bind',
      source: literal(composePath(source, plan.root)),
      target: literal(target),
      read_only: true,
      bind: { create_host_path: false },
    })),
    ...buckets.map(({ name, target, readOnly }) => ({
      type: 'bind',
      source: composePath(bucketFolder(name), plan.root),
      target: literal(target),
      read_only: readOnly ? true : undefined,
      bind: { create_host_path: false },
    })),
  ]
}

function volume(source: string, target: string): Readonly<Record<string, unknown>> {
  return { type: 'volume', source, target: literal(target) }
}

function jobsVolume({ volumes }: Plan): string {
  // The names of volumes are the user's.
  const taken = new Set(volumes.map(({ name }) => name))
  let name = 'jobs'
  while (taken.has(name)) name = `kiq-${name}`
  return name
}

function limits(plan: Plan): ReturnType<typeof resourcesOf> {
  const { minContainers, concurrencyLimit } = plan.config.appSettings.deploymentConfig
  return resourcesOf(plan.config, concurrencyLimit ?? Math.max(1, minContainers))
}

/** There is no curl in the image. */
function healthProgram({ port, readyPath }: Plan): string {
  const url = JSON.stringify(`http://127.0.0.1:${port}${readyPath}`)
  return `fetch(${url}).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))`
}

function bucketFolder(name: string): string {
  return `buckets/${name}`
}

function comments(plan: Plan): readonly (Comment | undefined)[] {
  const { name, config, variables, variableSets, files, buckets } = plan
  const { cpu, memory, text } = limits(plan)
  const own = ['services', name]
  const { region } = config.appSettings.deploymentConfig
  const file = plan.folder === '.' ? '' : `-f ${shellWord(posix.join(plan.folder, 'compose.yaml'))} `
  const start = `docker compose ${file}up --build`
  const header = [
    `Made by \`kiq serve manifest\` for ${quoted(config.appName)}. Start it with \`${start}\`.`,
    jobsText(plan),
    ...(region === null
      ? []
      : [`It runs where Compose does: the region ${quoted(region)} is in kubernetes.yaml only.`]),
  ]
  const keys = 'There are no API keys, so only this machine is let in.'
  const outside = 'Values that are not here have to be in the environment of Compose, or in .env beside this file.'
  const sets = variableSets.map((set) => `${quoted(set.text)} is a file with NAME=VALUE lines: ${set.name}.env.`)
  const mounted =
    'Not in the image, since it may hold keys. The user of the container (1000) has to be able to read it.'
  return [
    note([], header.join('\n')),
    plan.hasKeys ? undefined : note([...own, 'ports'], keys),
    variables.outside.length === 0 ? undefined : note([...own, 'environment'], outside),
    note([...own, 'env_file'], sets.join('\n')),
    files.mounted.length === 0 ? undefined : note(['secrets'], mounted),
    note([...own, 'volumes'], buckets.map(bucketText).join('\n')),
    cpu === undefined && memory === undefined ? undefined : note([...own, 'deploy', 'resources', 'limits'], text),
    note([...own, 'deploy', 'resources', 'reservations'], gpuText(plan)),
  ]
}

/** The command that has to run on the machine before. */
function bucketText(bucket: BucketMount): string {
  const { name, bucketName, keyPrefix, bucketEndpointUrl, secret, oidcAuthRoleArn, readOnly, requesterPays } = bucket
  const flags = [
    '--allow-other',
    ...(readOnly ? ['--read-only'] : []),
    ...(bucketEndpointUrl === null ? [] : ['--s3-endpoint', shellWord(bucketEndpointUrl)]),
    ...(requesterPays ? ['--s3-requester-pays'] : []),
  ]
  const remote = shellWord(`:s3,env_auth:${posix.join(bucketName, keyPrefix ?? '')}`)
  const credentials = [
    ...(secret === null ? [] : [`with the credentials of the secret ${quoted(secret)} in its environment`]),
    ...(oidcAuthRoleArn === null ? [] : [`as the role ${quoted(oidcAuthRoleArn)}`]),
  ]
  return (
    `The bucket ${quoted(bucketName)} is mounted on this machine first${credentials.map((one) => `, ${one}`).join('')}:\n` +
    `  rclone mount ${remote} ./${bucketFolder(name)} ${flags.join(' ')}`
  )
}

/** Leaves out what is empty. */
function orNone<T extends object>(value: T): T | undefined {
  return Object.values(value).some((one) => one !== undefined) ? value : undefined
}
