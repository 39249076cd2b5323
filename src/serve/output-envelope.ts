import type { PipelineOutput } from './pipeline.ts'

/** An output as it is sent: what every one has, and the fields of the model. */
export interface OutputEnvelope {
  /** Only `success` means success. */
  readonly status: string
  readonly error: string | null
  readonly meta: Readonly<Record<string, unknown>>
  readonly [field: string]: unknown
}

/** @param fields - Of the output, when a schema has made others of them. */
export function toEnvelope(output: PipelineOutput<object>, fields: object = output): OutputEnvelope {
  const { error, meta } = output as { readonly error?: unknown; readonly meta?: unknown }
  return {
    status: output.status,
    error: output.status === 'success' ? null : errorText(error, output.status),
    meta: isRecord(meta) ? meta : {},
    ...without(fields),
  }
}

function errorText(error: unknown, status: string): string {
  return typeof error === 'string' && error !== '' ? error : `The model gave the status ${JSON.stringify(status)}.`
}

/** Of an input for which there is no output. */
export function failedEnvelope(error: string): OutputEnvelope {
  return { status: 'error', error, meta: {} }
}

function without(fields: object): object {
  const { status: _status, error: _error, meta: _meta, ...others } = fields as Record<string, unknown>
  return others
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
