import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach } from 'vitest'

// Against the built package: processes and threads load `dist`.
import type { ItemOutcome } from '../../../dist/serve/run-pipeline.js'
import type { RestartReason, WorkerHostOptions } from '../../../dist/serve/workers/options.js'
import { WorkerHost } from '../../../dist/serve/workers/index.js'
import { deferred } from '../../support/deferred.ts'
import type { RecordingLogger } from '../../support/recording-logger.ts'
import { recordingLogger } from '../../support/recording-logger.ts'

export const SOON: { readonly timeoutMs: number } = { timeoutMs: 20_000 }
export const NEVER: AbortSignal = new AbortController().signal

export interface Input {
  readonly do?: string
  readonly value?: unknown
  readonly file?: string
}

export interface Output {
  readonly value?: unknown
  readonly place?: number | string
  readonly batches?: number
  readonly env?: string
  readonly reloads?: number
  readonly isBuffer?: boolean
  readonly back?: Uint8Array
}

export interface Setting extends Partial<Omit<WorkerHostOptions, 'context'>> {
  readonly kind: 'process' | 'thread'
  readonly settings?: Readonly<Record<string, unknown>>
  /** File in `pipelines`. */
  readonly file?: string
}

export interface TestedHost {
  readonly host: WorkerHost<Input, Output>
  readonly log: RecordingLogger
  readonly restarts: readonly RestartReason[]
}

const open: WorkerHost<Input, Output>[] = []
const folders: string[] = []

/** Stops all hosts and removes all files after each test. */
export function cleanUpAfterEach(): void {
  afterEach(async () => {
    await Promise.all(open.splice(0).map((host) => host.stop()))
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
  })
}

export function newFile(name = 'file'): string {
  const folder = mkdtempSync(join(tmpdir(), 'kiq-workers-'))
  folders.push(folder)
  return join(folder, name)
}

export function touch(file: string): void {
  writeFileSync(file, '')
}

export function modulePath(file: string): string {
  return join(import.meta.dirname, 'pipelines', file)
}

export function createHost({ settings = {}, file = 'faulty.mjs', ...options }: Setting): TestedHost {
  const log = recordingLogger()
  const restarts: RestartReason[] = []
  const host = new WorkerHost<Input, Output>({
    module: modulePath(file),
    modelName: 'm',
    pipelineName: 'Faulty',
    context: { modelName: 'm', modelFolder: '.', common: {}, settings },
    log,
    abortGraceMs: 100,
    onRestart: (reason) => restarts.push(reason),
    ...options,
  })
  open.push(host)
  return { host, log, restarts }
}

export async function startHost(setting: Setting): Promise<TestedHost> {
  const tested = createHost(setting)
  await tested.host.start()
  return tested
}

/** What became of it, in short. */
export function shortly(outcomes: readonly ItemOutcome<Output>[]): readonly unknown[] {
  return outcomes.map((outcome) => {
    if ('output' in outcome) return outcome.output.value
    const { code, message } = outcome.error as { readonly code?: string; readonly message: string }
    return code ?? message
  })
}

/** The output of the first input, which is a success. */
export function firstOutput(outcomes: readonly ItemOutcome<Output>[]): Output {
  const [first] = outcomes
  if (first && 'output' in first) return first.output
  throw new Error('There is no output.', { cause: first?.error })
}

export function placeOf(outcomes: readonly ItemOutcome<Output>[]): number | string | undefined {
  const [first] = outcomes
  return first && 'output' in first ? first.output.place : undefined
}

export interface Running {
  readonly outcomes: Promise<readonly ItemOutcome<Output>[]>
  /** Id of the process of the first attempt, as soon as it works on the first input. */
  readonly pid: Promise<number>
  readonly abort: (reason: Error) => void
}

/** Runs a batch, and tells when it has begun. */
export function begin(host: WorkerHost<Input, Output>, inputs: readonly Input[]): Running {
  const controller = new AbortController()
  const begun = deferred<number>()
  const outcomes = host.run(inputs, {
    signal: controller.signal,
    followed: new Set([0]),
    onProgress: (_, value) => begun.resolve(value as number),
  })
  return { outcomes, pid: begun.promise, abort: (reason) => controller.abort(reason) }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
