import { describe, expect, it } from 'vitest'

import type { MaybePromise } from '../../contract/index.ts'

/** What every conformance subject has. */
export interface Subject {
  /** Shown as the title of the suite, for example `RedisStreamTransport (redis 7)`. */
  readonly name: string
  /**
   * Cases this implementation is known to fail, by title, each with the reason. They run as expected failures, so that a
   * gap which has been closed makes the suite red until its line here is removed; so does a title that no case has.
   */
  readonly knownGaps?: Readonly<Record<string, string>> | undefined
}

/**
 * Registers one case.
 *
 * @param timeoutMs - Milliseconds the case may take; 30,000 when not given.
 */
export type Contract<Rig> = (title: string, run: (rig: Rig) => Promise<void>, timeoutMs?: number) => void

interface SuiteParts<Rig> {
  /** Fresh for every case. */
  readonly open: () => MaybePromise<Rig>
  /** Runs after every case, also after one that failed. */
  readonly close?: ((rig: Rig) => MaybePromise<void>) | undefined
  readonly register: (contract: Contract<Rig>) => MaybePromise<void>
}

const DEFAULT_CASE_TIMEOUT_MS = 30_000

/** Registers a suite whose cases each get a rig of their own. */
export function describeContract<Rig>(subject: Subject, { open, close, register }: SuiteParts<Rig>): void {
  const gaps = subject.knownGaps ?? {}
  const titles = new Set<string>()

  const contract: Contract<Rig> = (title, run, timeoutMs = DEFAULT_CASE_TIMEOUT_MS) => {
    expect(titles, 'titles are the keys of knownGaps and must differ').not.toContain(title)
    titles.add(title)
    const define = Object.hasOwn(gaps, title) ? it.fails : it
    define(
      title,
      async () => {
        const rig = await open()
        try {
          await run(rig)
        } finally {
          await close?.(rig)
        }
      },
      timeoutMs,
    )
  }

  describe(subject.name, async () => {
    await register(contract)

    it('names only existing cases as known gaps', () => {
      expect(Object.keys(gaps).filter((title) => !titles.has(title))).toEqual([])
    })

    it('gives a reason for every known gap', () => {
      expect(Object.keys(gaps).filter((title) => gaps[title]?.trim() === '')).toEqual([])
    })
  })
}
