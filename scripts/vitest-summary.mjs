import { writeFileSync } from 'node:fs'

/**
 * Vitest reporter that writes one line, `N passed, N failed, N skipped`, to the file named by `KIQ_TEST_SUMMARY`.
 *
 * A test file that does not load, a hook that throws and an error outside every test count as one failure each, so the
 * line never says `0 failed` for a run that failed.
 */
export default class SummaryReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0, pending: 0 }
    for (const module of modules) {
      for (const test of module.children.allTests()) count[test.result().state] += 1
      for (const suite of [module, ...module.children.allSuites()]) if (suite.errors().length > 0) count.failed += 1
    }
    writeFileSync(
      process.env.KIQ_TEST_SUMMARY,
      `${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`,
    )
  }
}
