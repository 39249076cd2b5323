import { describe, it } from 'vitest'

/** Something outside this repository that a suite needs. */
export interface Engine {
  /** What is missing and how to install it, or nothing when the engine is there. */
  readonly missing?: string | undefined
}

/** What becomes of a suite: it runs, or a test stands for it that prints a line or fails. */
export type SuitePlan =
  | { readonly kind: 'run' }
  | { readonly kind: 'skip'; readonly line: string }
  | { readonly kind: 'fail'; readonly message: string }

/**
 * Runs the tests when the engines are there. Otherwise one test takes their place, which prints one line, and fails
 * where `KIQ_TEST_REQUIRE=all` says that a missing engine is a mistake. So nothing ever counts as skipped.
 */
export function engineSuite(name: string, engines: readonly Engine[], tests: () => void): void {
  const plan = planSuite(name, engines, process.env['KIQ_TEST_REQUIRE'])
  switch (plan.kind) {
    case 'run':
      describe(name, tests)
      break
    case 'skip':
      // Not `console.log`, to which vitest adds lines that say where it comes from.
      it(plan.line, () => void process.stdout.write(`${plan.line}\n`))
      break
    case 'fail':
      it(name, () => {
        throw new Error(plan.message)
      })
  }
}

/** @param required - The value of `KIQ_TEST_REQUIRE`. */
export function planSuite(name: string, engines: readonly Engine[], required: string | undefined): SuitePlan {
  const missing = engines.flatMap((engine) => engine.missing ?? []).join('; ')
  if (missing === '') return { kind: 'run' }
  if (required !== 'all') return { kind: 'skip', line: `skipped: ${name}: ${missing}` }
  return { kind: 'fail', message: `${missing}. Install it, or unset KIQ_TEST_REQUIRE to go without these tests.` }
}
