import { connect } from 'node:net'
import type { Socket } from 'node:net'

import { onTestFinished } from 'vitest'

import { until } from '../../../src/testing/until.ts'
import { SOON } from './job-kit.ts'
import { KEY } from './kit.ts'

/** A connection of which the test writes every byte. It ends with the test. */
export interface Raw {
  readonly socket: Socket
  /** What came so far. */
  readonly text: () => string
  /** Statuses of the answers so far. */
  readonly statuses: () => readonly number[]
  /** Resolves when there are that many answers. */
  readonly answered: (count: number) => Promise<readonly number[]>
  /** Resolves when the server has closed the connection. */
  readonly closed: () => Promise<void>
}

export function openRaw(url: string, ...parts: readonly string[]): Raw {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let text = ''
  let isClosed = false
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
  socket.on('error', () => {})
  socket.once('close', () => (isClosed = true))
  onTestFinished(() => void socket.destroy())
  for (const part of parts) socket.write(part)
  const statuses = (): readonly number[] => [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status))
  return {
    socket,
    text: () => text,
    statuses,
    answered: async (count) => await until(() => (statuses().length >= count ? statuses() : undefined), SOON),
    closed: async () => void (await until(() => isClosed, SOON)),
  }
}

export interface RawRequest {
  /** @defaultValue with the key of the tests */
  readonly headers?: readonly string[]
  readonly body?: string
}

/** A request as bytes; JSON when it has a body. */
export function rawRequest(
  line: string,
  { headers = [`authorization: Bearer ${KEY}`], body }: RawRequest = {},
): string {
  const own = body === undefined ? [] : ['content-type: application/json', `content-length: ${Buffer.byteLength(body)}`]
  return [`${line} HTTP/1.1`, 'host: test', ...headers, ...own, '', body ?? ''].join('\r\n')
}
