import { defineConfig } from 'vitest/config'

/** Minutes long, and not yet part of every run: see CONTRIBUTING.md. */
const redisFaults = process.env['KIQ_TEST_REDIS_FAULTS'] === undefined ? [] : ['test/fault/*.fault.ts']

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', ...redisFaults],
    typecheck: { enabled: true, include: ['src/**/*.test-d.ts', 'test/**/*.test-d.ts'], ignoreSourceErrors: true },
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
