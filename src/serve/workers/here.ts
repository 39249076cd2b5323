const MARK: unique symbol = Symbol.for('kiq.serve.inferenceWorker') as never

/** Says that this process or thread runs pipelines for a service elsewhere. Comes before the user's module is loaded. */
export function markInferenceWorker(): void {
  ;(globalThis as { [MARK]?: true })[MARK] = true
}

/**
 * Whether this process or thread runs pipelines for a service elsewhere. The module of a service is loaded there too, to
 * find the pipeline; the service must not listen then.
 */
export function isInferenceWorker(): boolean {
  return (globalThis as { readonly [MARK]?: true })[MARK] === true
}
