import { posix } from 'node:path'

import { storageParts } from './kubernetes-storage.ts'
import { podTemplate } from './pod.ts'
import type { Plan } from './plan.ts'
import { secretNames } from './pod-secrets.ts'
import { scaleOf } from './scale.ts'
import type { Scale } from './scale.ts'
import { jobsText, note } from './shared.ts'
import { quoted, shellWord } from './text.ts'
import { writeYaml } from './yaml.ts'
import type { Comment, YamlPart } from './yaml.ts'

/** Everything that a cluster needs, but for the Secrets, whose values are written nowhere. */
export function kubernetes(plan: Plan): string {
  const scale = scaleOf(plan)
  const main = workload(plan, scale)
  const header = note([], headerText(plan))
  return writeYaml([
    { ...main, comments: [header, ...(main.comments ?? [])] },
    service(plan),
    ...autoscaler(plan, scale),
    ...storageParts(plan),
  ])
}

function headerText(plan: Plan): string {
  const { variables, variableSets, files } = plan
  const secrets = secretNames(plan)
  const values = variables.outside.map((name) => `--from-literal=${name}=${shellValue(name)}`)
  const mounted = files.mounted.map(({ key, source }) => shellWord(`--from-file=${key}=${source}`))
  const commands = [
    ...(values.length === 0 ? [] : [`  kubectl create secret generic ${secrets.variables} ${values.join(' ')}`]),
    ...(mounted.length === 0 ? [] : [`  kubectl create secret generic ${secrets.files} ${mounted.join(' ')}`]),
    ...variableSets.map(({ name }) => `  kubectl create secret generic ${name} --from-env-file=${name}.env`),
  ]
  return [
    `Made by \`kiq serve manifest\` for ${quoted(plan.config.appName)}.`,
    ...(commands.length === 0 ? [] : ['These Secrets have to exist before:', ...commands]),
    `Then: kubectl apply -f ${shellWord(posix.join(plan.folder, 'kubernetes.yaml'))}`,
  ].join('\n')
}

/** A name that no shell has needs its value by hand. */
function shellValue(name: string): string {
  return /^\w+$/.test(name) ? `"$${name}"` : 'VALUE'
}

/** Replicas with a file of jobs each are a StatefulSet, so that each keeps its file. */
function workload(plan: Plan, scale: Scale): YamlPart {
  const { name, jobs } = plan
  const isStateful = jobs.kind === 'file'
  const pod = podTemplate(plan, scale)
  const inPod = (comment: Comment): Comment => ({ ...comment, at: ['spec', 'template', ...comment.at] })
  const content = {
    apiVersion: 'apps/v1',
    kind: scale.kind,
    metadata: { name, labels: labels(plan) },
    spec: {
      replicas: scale.max > scale.min ? undefined : scale.min,
      ...(isStateful ? { serviceName: name, podManagementPolicy: 'Parallel' } : {}),
      selector: { matchLabels: labels(plan) },
      ...(isStateful ? {} : { strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } } }),
      template: pod.content,
      volumeClaimTemplates: isStateful ? [jobsClaim()] : undefined,
    },
  }
  return {
    content,
    comments: [note(['spec'], [jobsText(plan), ...scaleTexts(plan, scale)].join('\n')), ...pod.comments.map(inPod)],
  }
}

function scaleTexts({ jobs }: Plan, scale: Scale): readonly string[] {
  if (scale.max === 1) return []
  return [
    'A Pod has one worker process for each model: it is the number of Pods that grows.',
    ...(jobs.kind === 'server'
      ? []
      : [
          'Each Pod has jobs of its own: it knows the jobs that it took, and no others; requests of one address go to ' +
            'one Pod.',
          'With the URL of a Redis server as async_config.broker_url each knows all.',
        ]),
  ]
}

function jobsClaim(): Readonly<Record<string, unknown>> {
  return {
    metadata: { name: 'jobs' },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  }
}

function service(plan: Plan): YamlPart {
  const { name, port, jobs } = plan
  const isSticky = jobs.kind !== 'server' && scaleOf(plan).max > 1
  return {
    content: {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, labels: labels(plan) },
      spec: {
        selector: labels(plan),
        sessionAffinity: isSticky ? 'ClientIP' : undefined,
        ports: [{ name: 'http', port, targetPort: 'http' }],
      },
    },
  }
}

function autoscaler(plan: Plan, { kind, min, max }: Scale): readonly YamlPart[] {
  if (max === min) return []
  const { name } = plan
  const target = { type: 'Utilization', averageUtilization: 70 }
  return [
    {
      content: {
        apiVersion: 'autoscaling/v2',
        kind: 'HorizontalPodAutoscaler',
        metadata: { name, labels: labels(plan) },
        spec: {
          scaleTargetRef: { apiVersion: 'apps/v1', kind, name },
          minReplicas: min,
          maxReplicas: max,
          metrics: [{ type: 'Resource', resource: { name: 'cpu', target } }],
        },
      },
      comments: [
        note(
          ['spec', 'metrics'],
          'The CPU tells little about work on a GPU. kiq_serve_waiting_requests of GET /metrics tells more, where the\n' +
            'cluster has an adapter for such metrics.',
        ),
      ],
    },
  ]
}

function labels({ name }: Plan): Readonly<Record<string, string>> {
  return { 'app.kubernetes.io/name': name }
}
