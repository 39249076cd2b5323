import { joinPath } from '../config/origin.ts'
import { cleaned } from '../config/secret-values.ts'
import type { BucketMountSettings, ServeConfig } from '../config/settings.ts'
import type { Names } from './names.ts'
import type { MountPoints } from './places.ts'
import type { Problems } from './problems.ts'

/** A named volume, at one of its paths. */
export interface VolumeMount {
  readonly name: string
  readonly target: string
}

export interface BucketMount extends BucketMountSettings {
  readonly name: string
  readonly target: string
}

const DEPLOYMENT = 'app_settings.deployment_config'

export interface StorageSources {
  readonly config: ServeConfig
  /** DNS name of the service. */
  readonly name: string
  /** Of volumes and buckets. */
  readonly names: Names
  readonly points: MountPoints
  readonly problems: Problems
}

/** Volumes of one name are one volume, of whichever service: their names do not begin with that of this service. */
export function volumesOf({ config, names, points }: StorageSources): readonly VolumeMount[] {
  return Object.entries(config.appSettings.deploymentConfig.volumes).flatMap(([mountPoint, volume]) => {
    const target = points.claim(mountPoint, joinPath(`${DEPLOYMENT}.volumes`, mountPoint))
    return target === undefined ? [] : [{ name: names.of(volume), target }]
  })
}

export function bucketsOf({ config, name, names, points, problems }: StorageSources): readonly BucketMount[] {
  return config.appSettings.deploymentConfig.cloudBucketMounts.flatMap((bucket, index) => {
    const path = joinPath(`${DEPLOYMENT}.cloud_bucket_mounts`, index)
    if (cleaned(bucket.bucketEndpointUrl) !== bucket.bucketEndpointUrl) {
      problems.add(`${path}.bucket_endpoint_url`, 'has a password. Take it out, and name a secret instead.')
    }
    const target = points.claim(bucket.mountPoint, path)
    // Each has options of its own, also where the bucket is the same.
    const own = names.of(`${name}-${bucket.bucketName}`, `bucket ${index}`)
    return target === undefined ? [] : [{ ...bucket, name: own, target }]
  })
}
