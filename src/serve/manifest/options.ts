/** Seconds that `kiq serve` waits for running requests once it is told to stop, unless it is told otherwise. */
export const DRAIN_SECONDS = 30

export interface ManifestOptions {
  /** What `kiq serve` is given in the container: a path below the folder of the project, and maybe `:service`. */
  readonly module: string
  /** A version of Node as tags of its image have it. @defaultValue `'24'` */
  readonly nodeVersion?: string | undefined
  /** Installs the dependencies. @defaultValue `'npm'` */
  readonly packageManager?: 'npm' | 'pnpm' | 'yarn' | undefined
  /** The folder that the files are meant for, relative to that of the project. @defaultValue `'.'` */
  readonly folder?: string | undefined
}

export interface DeploymentFile {
  /** In the folder that the files are meant for. */
  readonly path: string
  readonly text: string
}
