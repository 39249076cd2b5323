import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'

import { deferred, settled } from '../../test/support/deferred.ts'
import { recordingLogger } from '../../test/support/recording-logger.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { until } from '../testing/until.ts'
import { FolderWatch } from './folder-watch.ts'
import type { FolderWatchOptions } from './folder-watch.ts'

let folder = ''

/** Each text is longer than those before it, so that the size tells. */
function write(text: string): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'model'), text)
}

function watched(options: Partial<FolderWatchOptions> = {}) {
  const clock = new FakeClock()
  const log = recordingLogger()
  const calls = { count: 0 }
  const onChange = (): void => void (calls.count += 1)
  const watch = new FolderWatch({ folder, intervalMs: 5_000, onChange, log, clock, ...options })
  onTestFinished(() => watch.stop())
  /** Lets the next look come and end. */
  const nextLook = async (): Promise<void> => {
    await clock.advance((clock.nextAt ?? NaN) - clock.now())
    await until(() => clock.nextAt, { timeoutMs: 10_000 })
  }
  return { watch, clock, log, calls, nextLook }
}

beforeEach(() => {
  const parent = mkdtempSync(join(tmpdir(), 'kiq-watch-'))
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }))
  folder = join(parent, 'models')
})

describe('the watch of a folder', () => {
  it('tells of a change once, when it has found the same twice', async () => {
    write('1')
    const { watch, calls, nextLook } = watched()
    await watch.start()
    await nextLook()
    await nextLook()
    expect(calls.count).toBe(0)

    write('12')
    await nextLook()
    expect(calls.count).toBe(0)
    await nextLook()
    expect(calls.count).toBe(1)
    await nextLook()
    await nextLook()
    expect(calls.count).toBe(1)
  })

  it('leaves files alone that are still being copied', async () => {
    const { watch, calls } = watched()
    await watch.start()
    for (const text of ['1', '12', '123', '1234']) {
      write(text)
      await watch.check()
    }
    expect(calls.count).toBe(0)

    await watch.check()
    expect(calls.count).toBe(1)
  })

  it('tells nothing of a change that was taken back', async () => {
    const { watch, calls } = watched()
    await watch.start()
    write('1')
    await watch.check()
    rmSync(folder, { recursive: true })
    await watch.check()
    await watch.check()

    expect(calls.count).toBe(0)
  })

  it('takes a folder that does not exist for an empty one', async () => {
    const { watch, log, calls } = watched()
    await watch.start()
    mkdirSync(folder)
    await watch.check()
    await watch.check()
    expect(calls.count).toBe(0)

    write('1')
    await watch.check()
    await watch.check()
    expect(calls.count).toBe(1)
    rmSync(folder, { recursive: true })
    await watch.check()
    await watch.check()
    expect(calls.count).toBe(2)
    expect(log.lines).toEqual([])
  })

  it('looks again an interval after the look before has ended', async () => {
    const taking = deferred()
    let calls = 0
    const onChange = async (): Promise<void> => {
      calls += 1
      await taking.promise
    }
    const { watch, clock, nextLook } = watched({ onChange })
    await watch.start()
    expect(clock.nextAt).toBe(clock.now() + 5_000)
    write('1')
    await nextLook()
    await clock.advance(5_000)
    await until(() => calls === 1, { timeoutMs: 10_000 })
    await clock.advance(60_000)
    expect(clock.nextAt).toBeUndefined()

    taking.resolve()
    await until(() => clock.nextAt, { timeoutMs: 10_000 })
    expect(clock.nextAt).toBe(clock.now() + 5_000)
  })

  it('tells of what changed while a change was taken over', async () => {
    let calls = 0
    const onChange = (): void => {
      calls += 1
      if (calls === 1) write('12')
    }
    const { watch } = watched({ onChange })
    await watch.start()
    write('1')
    for (let i = 0; i < 6; i += 1) await watch.check()

    expect(calls).toBe(2)
  })

  it('tries again with growing waits when a change cannot be taken over, until it works', async () => {
    const at: number[] = []
    const clock = new FakeClock(0)
    const onChange = (): void => {
      at.push(clock.now())
      if (at.length < 5) throw new Error(`broken ${at.length}`)
    }
    const { watch, log } = watched({ onChange, clock })
    await watch.start()
    write('1')
    for (let i = 0; i < 60; i += 1) {
      await clock.advance((clock.nextAt ?? NaN) - clock.now())
      await until(() => clock.nextAt, { timeoutMs: 10_000 })
    }

    // The second look is at 10 s; after that 5, 10, 20 and 40 s later.
    expect(at).toEqual([10_000, 15_000, 25_000, 45_000, 85_000])
    expect(log.lines.map(({ level }) => level)).toEqual(['error', 'error', 'error', 'error'])
    expect(log.lines[0]).toMatchObject({
      fields: { folder, err: { message: 'broken 1' } },
      message: 'The change was not taken over, and is tried again in 5000 ms or later: broken 1',
    })
  })

  it('waits ten minutes at most before it tries again', async () => {
    const { watch, clock, log } = watched({ onChange: () => Promise.reject(new Error('broken')), intervalMs: 60_000 })
    await watch.start()
    write('1')
    await watch.check()
    for (let i = 0; i < 8; i += 1) {
      await watch.check()
      await clock.advance(600_000)
      await until(() => clock.nextAt, { timeoutMs: 10_000 })
    }

    expect(log.lines.length).toBeGreaterThanOrEqual(8)
    expect(log.lines.at(-1)?.message).toContain('again in 600000 ms')
  })

  it('tries at once when the folder changes again after a failure', async () => {
    let calls = 0
    const onChange = (): void => {
      calls += 1
      throw new Error('broken')
    }
    const { watch } = watched({ onChange })
    await watch.start()
    write('1')
    for (let i = 0; i < 4; i += 1) await watch.check()
    expect(calls).toBe(1)

    write('12')
    for (let i = 0; i < 4; i += 1) await watch.check()
    expect(calls).toBe(2)
  })

  it('warns once when the folder cannot be read, and tells of it when it can be read again', async () => {
    symlinkSync('x'.repeat(1_000), folder)
    const { watch, log, calls } = watched()
    await watch.start()
    await watch.check()
    expect(log.lines).toMatchObject([{ level: 'warn', fields: { folder, err: { code: 'ENAMETOOLONG' } } }])

    rmSync(folder)
    write('1')
    await watch.check()
    await watch.check()
    expect(calls.count).toBe(1)
  })

  it('warns once when there are more files than it looks at', async () => {
    const { watch, log } = watched()
    mkdirSync(folder)
    for (let i = 0; i <= 10_000; i += 1) writeFileSync(join(folder, String(i)), '')
    await watch.start()
    await watch.check()

    expect(log.lines).toMatchObject([
      { level: 'warn', message: 'There are more than 10,000 files, of which only the first are looked at.' },
    ])
  })

  it('looks no more often than is of use when it is asked again and again', async () => {
    let calls = 0
    const { watch } = watched({ onChange: () => void (calls += 1) })
    await watch.start()
    write('1')
    // The first begins at once, and all others share the one after it.
    const checks = Array.from({ length: 100 }, () => watch.check())
    await Promise.all(checks)
    expect(calls).toBe(0)

    await watch.check()
    expect(calls).toBe(1)
  })

  it('waits for what runs when it is stopped, and then calls nothing any more', async () => {
    const taking = deferred()
    const begun = deferred()
    let calls = 0
    const onChange = async (): Promise<void> => {
      calls += 1
      begun.resolve()
      await taking.promise
    }
    const { watch, clock } = watched({ onChange })
    await watch.start()
    write('1')
    await watch.check()
    void watch.check()
    await begun.promise
    let isStopped = false
    const stopped = watch.stop().then(() => (isStopped = true))
    await settled()
    expect(isStopped).toBe(false)

    taking.resolve()
    await stopped
    expect(clock.nextAt).toBeUndefined()
    write('12')
    await watch.check()
    await watch.check()
    expect(calls).toBe(1)
    await expect(watch.start()).rejects.toMatchObject({ code: 'KIQ_SERVE_STOPPING' })
  })

  it('calls nothing when it is stopped during a look', async () => {
    const { watch, calls } = watched()
    await watch.start()
    write('1')
    await watch.check()
    const check = watch.check()
    await Promise.all([watch.stop(), check])

    expect(calls.count).toBe(0)
  })

  it('may be started twice', async () => {
    const { watch, clock } = watched()
    await Promise.all([watch.start(), watch.start()])
    await clock.advance(5_000)
    await until(() => clock.nextAt, { timeoutMs: 10_000 })
    await watch.stop()

    expect(clock.nextAt).toBeUndefined()
  })

  it('goes on when the logger throws', async () => {
    const debug = (): void => {
      throw new Error('full')
    }
    const log = { debug, info: debug, warn: debug, error: debug }
    const { watch, calls } = watched({ log })
    symlinkSync('x'.repeat(1_000), folder)
    await watch.start()
    rmSync(folder)
    await watch.check()
    await watch.check()

    expect(existsSync(folder)).toBe(false)
    expect(calls.count).toBe(1)
  })

  it('looks by the time of the system without a clock', async () => {
    const found = deferred()
    const { watch } = watched({ clock: undefined, intervalMs: 1, onChange: () => found.resolve() })
    await watch.start()
    write('1')

    await found.promise
  })

  it.each([0, -1, NaN, Infinity])('refuses an interval of %d ms', (intervalMs) => {
    expect(() => watched({ intervalMs })).toThrow('`intervalMs` of a watched folder is')
  })
})
