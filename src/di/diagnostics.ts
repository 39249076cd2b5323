import { channel } from 'node:diagnostics_channel'
import type { Channel } from 'node:diagnostics_channel'

import type { Lifetime } from './provider.ts'

/** Published after a value was made, or could not be made, on {@link buildChannel}. */
export interface BuildEvent {
  readonly key: string
  readonly scope: Lifetime
  readonly durationMs: number
  readonly error?: unknown
}

/** Published after a value was closed, or could not be closed, on {@link disposeChannel}. */
export interface DisposeEvent {
  readonly key: string
  readonly durationMs: number
  readonly error?: unknown
}

/** Publishes {@link BuildEvent}s. */
export const buildChannel: Channel<BuildEvent> = channel('kiq:di:build') as Channel<BuildEvent>
/** Publishes {@link DisposeEvent}s. */
export const disposeChannel: Channel<DisposeEvent> = channel('kiq:di:dispose') as Channel<DisposeEvent>
