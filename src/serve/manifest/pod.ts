import { posix } from 'node:path'

import { dnsName, Names } from './names.ts'
import { USER_ID } from './dockerfile.ts'
import type { Plan } from './plan.ts'
import { secretNames } from './pod-secrets.ts'
import { resourcesOf } from './resources.ts'
import type { Scale } from './scale.ts'
import { gpuText, HANDOVER_SECONDS, literal, note, STOP_SECONDS } from './shared.ts'
import { quoted } from './text.ts'
import type { Comment } from './yaml.ts'

export interface PodTemplate {
  readonly content: Readonly<Record<string, unknown>>
  /** Their places begin in the template. */
  readonly comments: readonly Comment[]
}

const LABEL_VALUE = /^[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/
const REGION = 'topology.kubernetes.io/region'

export function podTemplate(plan: Plan, scale: Scale): PodTemplate {
  const { name, config, port } = plan
  const { region } = config.appSettings.deploymentConfig
  const { volumes, mounts } = podVolumes(plan)
  const content = {
    metadata: { labels: { 'app.kubernetes.io/name': name } },
    spec: {
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: STOP_SECONDS,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: USER_ID,
        runAsGroup: USER_ID,
        fsGroup: USER_ID,
        fsGroupChangePolicy: 'OnRootMismatch',
        seccompProfile: { type: 'RuntimeDefault' },
        sysctls: port < 1024 ? [{ name: 'net.ipv4.ip_unprivileged_port_start', value: String(port) }] : undefined,
      },
      nodeSelector: region !== null && LABEL_VALUE.test(region) ? { [REGION]: region } : undefined,
      containers: [{ ...container(plan, scale), volumeMounts: mounts.length === 0 ? undefined : mounts }],
      volumes: volumes.length === 0 ? undefined : volumes,
    },
  }
  return { content, comments: comments(plan).filter((comment) => comment !== undefined) }
}

function container(plan: Plan, scale: Scale): Readonly<Record<string, unknown>> {
  const { name, base, port, readyPath } = plan
  const probe = (path: string): Readonly<Record<string, unknown>> => ({ httpGet: { path, port: 'http' } })
  const env = environment(plan, scale)
  const envFrom = plan.variableSets.map((set) => ({ secretRef: { name: set.name } }))
  return {
    name,
    image: `${name}:${base.ownTag ?? 'latest'}`,
    imagePullPolicy: 'IfNotPresent',
    ports: [{ name: 'http', containerPort: port }],
    envFrom: envFrom.length === 0 ? undefined : envFrom,
    env: env.length === 0 ? undefined : env,
    startupProbe: { ...probe('/health/startup'), periodSeconds: 2, failureThreshold: 300 },
    readinessProbe: { ...probe(readyPath), periodSeconds: 5, timeoutSeconds: 5 },
    livenessProbe: { ...probe('/health/live'), periodSeconds: 10, timeoutSeconds: 5 },
    lifecycle: { preStop: { exec: { command: ['sleep', String(HANDOVER_SECONDS)] } } },
    resources: resources(plan, scale),
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
  }
}

function environment(plan: Plan, scale: Scale): readonly Readonly<Record<string, unknown>>[] {
  const { variables, config } = plan
  const { variables: secret } = secretNames(plan)
  const workers = Math.min(1, config.appSettings.deploymentConfig.minContainers)
  const ofWorkers = 'KIQ_APP_SETTINGS__DEPLOYMENT_CONFIG__'
  return [
    ...variables.runtime.map(([name, value]) => ({ name, value: literal(value) })),
    ...variables.outside.map((name) => ({ name, valueFrom: { secretKeyRef: { name: secret, key: name } } })),
    ...(scale.max === 1
      ? []
      : [
          { name: `${ofWorkers}MIN_CONTAINERS`, value: String(workers) },
          { name: `${ofWorkers}CONCURRENCY_LIMIT`, value: '1' },
        ]),
  ]
}

/** What an autoscaler measures against, where the configuration does not say. */
const DEFAULT_REQUEST = '500m'

function resources({ config, gpus }: Plan, scale: Scale): Readonly<Record<string, unknown>> | undefined {
  const { cpu, memory } = resourcesOf(config, 1)
  const limits = {
    ...(cpu === undefined ? {} : { cpu: `${Math.round(cpu * 1000)}m` }),
    ...(memory === undefined ? {} : { memory: `${memory}Mi` }),
  }
  const requests = cpu === undefined && scale.max > scale.min ? { ...limits, cpu: DEFAULT_REQUEST } : limits
  const devices = gpus.count === 0 ? {} : { 'nvidia.com/gpu': gpus.count }
  const all = { ...limits, ...devices }
  return {
    requests: Object.keys(requests).length === 0 ? undefined : requests,
    limits: Object.keys(all).length === 0 ? undefined : all,
  }
}

interface PodVolumes {
  readonly volumes: readonly Readonly<Record<string, unknown>>[]
  readonly mounts: readonly Readonly<Record<string, unknown>>[]
}

function podVolumes(plan: Plan): PodVolumes {
  const { files, jobs } = plan
  const names = new Names()
  const volumes: Readonly<Record<string, unknown>>[] = []
  const mounts: Readonly<Record<string, unknown>>[] = []
  // Comes with the Pod.
  if (jobs.kind === 'file') mounts.push({ name: names.of('jobs'), mountPath: jobs.folder })
  if (files.mounted.length > 0) {
    const name = names.of('files')
    volumes.push({ name, secret: { secretName: secretNames(plan).files } })
    for (const { key, target } of files.mounted) mounts.push({ name, mountPath: target, subPath: key, readOnly: true })
  }
  for (const { source, target } of files.folders) {
    const name = names.of(`folder ${source}`)
    volumes.push({ name, hostPath: { path: nodePath(source), type: 'Directory' } })
    mounts.push({ name, mountPath: target, readOnly: true })
  }
  const claims = [...plan.volumes, ...plan.buckets]
  for (const { name: claimName } of new Map(claims.map((one) => [one.name, one])).values()) {
    volumes.push({ name: names.of(`claim ${claimName}`), persistentVolumeClaim: { claimName } })
  }
  for (const { name, target } of plan.volumes) mounts.push({ name: names.of(`claim ${name}`), mountPath: target })
  for (const { name, target, readOnly } of plan.buckets) {
    mounts.push({ name: names.of(`claim ${name}`), mountPath: target, readOnly: readOnly ? true : undefined })
  }
  return { volumes, mounts }
}

/** A node knows no folder of the project, and Kubernetes no relative paths. */
function nodePath(source: string): string {
  return posix.isAbsolute(source) ? source : `/var/lib/kiq/${dnsName(source)}`
}

function comments(plan: Plan): readonly (Comment | undefined)[] {
  const { config, files } = plan
  const { region } = config.appSettings.deploymentConfig
  const inContainer = ['spec', 'containers', 0]
  const { cpu, memory, text } = resourcesOf(config, 1)
  const odd = region !== null && !LABEL_VALUE.test(region)
  const resourceTexts = [
    ...(cpu === undefined && memory === undefined ? [] : [text]),
    ...(gpuText(plan) ?? '').split('\n'),
  ]
  const folders = files.folders.map(({ source }) => `${quoted(source)} as ${quoted(nodePath(source))}`).join(', ')
  return [
    note([...inContainer, 'image'], 'Push the image to where the cluster finds it, and name it so here.'),
    note([...inContainer, 'resources'], resourceTexts.filter((one) => one !== '').join('\n')),
    odd
      ? note(['spec'], `The region ${quoted(region)} is no value of a label. Add a nodeSelector that fits.`)
      : undefined,
    note(['spec', 'volumes'], folders === '' ? '' : `Each node has to have the folder ${folders}.`),
  ]
}
