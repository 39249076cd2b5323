import { USER_ID } from './dockerfile.ts'
import type { Plan } from './plan.ts'
import { scaleOf } from './scale.ts'
import { note } from './shared.ts'
import type { BucketMount } from './storage.ts'
import { quoted } from './text.ts'
import type { YamlPart } from './yaml.ts'

/** Claims of volumes, and of buckets with the volumes behind them. */
export function storageParts(plan: Plan): readonly YamlPart[] {
  const names = [...new Set(plan.volumes.map(({ name }) => name))]
  return [...names.map((name) => volumeClaim(name, plan)), ...plan.buckets.flatMap(bucketParts)]
}

function volumeClaim(name: string, plan: Plan): YamlPart {
  const mode = scaleOf(plan).max > 1 ? 'ReadWriteMany' : 'ReadWriteOnce'
  return {
    content: {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name },
      spec: { accessModes: [mode], resources: { requests: { storage: '10Gi' } } },
    },
    comments: [note(['spec', 'resources'], 'The configuration knows no sizes: say here how much is needed.')],
  }
}

/** By the driver of Mountpoint for Amazon S3, which is what Modal mounts buckets with. */
function bucketParts(bucket: BucketMount): readonly YamlPart[] {
  const { name, bucketName, readOnly } = bucket
  const spec = {
    accessModes: [readOnly ? 'ReadOnlyMany' : 'ReadWriteMany'],
    storageClassName: '',
    resources: { requests: { storage: '1Ti' } },
  }
  return [
    {
      content: {
        apiVersion: 'v1',
        kind: 'PersistentVolume',
        metadata: { name },
        spec: {
          capacity: { storage: '1Ti' },
          accessModes: spec.accessModes,
          storageClassName: '',
          mountOptions: mountOptions(bucket),
          csi: { driver: 's3.csi.aws.com', volumeHandle: name, volumeAttributes: { bucketName } },
        },
      },
      comments: [note([], bucketText(bucket))],
    },
    {
      content: {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { name },
        spec: { ...spec, volumeName: name },
      },
    },
  ]
}

function mountOptions(bucket: BucketMount): readonly string[] {
  const { readOnly, keyPrefix, bucketEndpointUrl, requesterPays } = bucket
  return [
    `uid=${USER_ID}`,
    `gid=${USER_ID}`,
    'allow-other',
    ...(readOnly ? ['read-only'] : ['allow-delete', 'allow-overwrite']),
    ...(keyPrefix === null ? [] : [`prefix ${keyPrefix.endsWith('/') ? keyPrefix : `${keyPrefix}/`}`]),
    ...(bucketEndpointUrl === null ? [] : [`endpoint-url ${bucketEndpointUrl}`]),
    ...(requesterPays ? ['requester-pays'] : []),
  ]
}

function bucketText({ secret, oidcAuthRoleArn }: BucketMount): string {
  return [
    'Needs the CSI driver s3.csi.aws.com (Mountpoint for Amazon S3) in the cluster. It ignores the size.',
    ...(secret === null ? [] : [`Give the driver the credentials of the secret ${quoted(secret)}.`]),
    ...(oidcAuthRoleArn === null ? [] : [`Let the driver take the role ${quoted(oidcAuthRoleArn)}.`]),
  ].join('\n')
}
