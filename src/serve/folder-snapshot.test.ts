import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'

import { snapshotOf } from './folder-snapshot.ts'

let folder = ''

const digest = async (): Promise<string> => (await snapshotOf(folder)).digest

/** A file with the time 2030-01-01, or so many seconds later. */
function write(name: string, text: string, seconds = 0): void {
  const path = join(folder, name)
  writeFileSync(path, text)
  const time = Date.UTC(2030, 0, 1) / 1_000 + seconds
  utimesSync(path, time, time)
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kiq-folder-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
})

describe('the snapshot of a folder', () => {
  it('is the same as long as nothing changes', async () => {
    mkdirSync(join(folder, 'a/b'), { recursive: true })
    write('a/b/model.onnx', '12')
    const before = await digest()

    expect(before).toMatch(/^[0-9a-f]{64}$/)
    write('a/b/model.onnx', '34')
    expect(await digest()).toBe(before)
  })

  it.each([
    ['another size', () => write('a/model', '123')],
    ['another time', () => write('a/model', '12', 1)],
    ['another name', () => renameSync(join(folder, 'a/model'), join(folder, 'a/other'))],
    ['another folder', () => renameSync(join(folder, 'a'), join(folder, 'b'))],
    ['a file more', () => write('a/more', '')],
    ['a folder more', () => mkdirSync(join(folder, 'a/more'))],
    ['a file less', () => rmSync(join(folder, 'a/model'))],
  ])('differs with %s', async (_what, change) => {
    mkdirSync(join(folder, 'a'))
    write('a/model', '12')
    const before = await digest()
    change()

    expect(await digest()).not.toBe(before)
  })

  it('does not mix up names and sizes', async () => {
    write('a1', '2')
    const before = await digest()
    rmSync(join(folder, 'a1'))
    write('a', '12')

    expect(await digest()).not.toBe(before)
  })

  it('is the one of an empty folder where there is none, or a file', async () => {
    const empty = await digest()
    write('file', 'x')

    expect((await snapshotOf(join(folder, 'missing'))).digest).toBe(empty)
    expect((await snapshotOf(join(folder, 'missing/below'))).digest).toBe(empty)
    expect((await snapshotOf(join(folder, 'file'))).digest).toBe(empty)
  })

  it('follows links, also those that come to lead elsewhere', async () => {
    for (const name of ['v1', 'v2']) {
      mkdirSync(join(folder, name))
      write(`${name}/model`, name === 'v1' ? 'old' : 'newer')
    }
    symlinkSync('v1', join(folder, 'zz-current'))
    const before = await digest()
    rmSync(join(folder, 'zz-current'))
    symlinkSync('v2', join(folder, 'zz-current'))

    expect(await digest()).not.toBe(before)
  })

  it('looks at a folder that is a link itself', async () => {
    write('model', '12')
    const link = `${folder}-link`
    symlinkSync(folder, link)
    onTestFinished(() => rmSync(link))

    expect((await snapshotOf(link)).digest).toBe(await digest())
  })

  it('ends where links lead in a circle or nowhere', async () => {
    mkdirSync(join(folder, 'a'))
    const before = await digest()
    symlinkSync('..', join(folder, 'a/up'))
    symlinkSync('self', join(folder, 'self'))
    symlinkSync('gone', join(folder, 'broken'))
    const snapshot = await snapshotOf(folder)

    expect(snapshot.isCut).toBe(false)
    expect(snapshot.digest).not.toBe(before)
  })

  it('ends when links make more folders than can be looked at', async () => {
    let last = 'end'
    mkdirSync(join(folder, last))
    for (let i = 0; i < 15; i += 1) {
      mkdirSync(join(folder, `f${i}`))
      for (const name of ['left', 'right']) symlinkSync(`../${last}`, join(folder, `f${i}`, name))
      last = `f${i}`
    }

    expect((await snapshotOf(folder)).isCut).toBe(true)
  })

  it('looks at the first 10,000 files of more', async () => {
    for (let i = 0; i < 10_000; i += 1) writeFileSync(join(folder, `f${String(i).padStart(5, '0')}`), '')
    const all = await snapshotOf(folder)
    expect(all.isCut).toBe(false)

    writeFileSync(join(folder, 'g'), '')
    expect(await snapshotOf(folder)).toEqual({ digest: all.digest, isCut: true })
    rmSync(join(folder, 'f00000'))
    expect(await snapshotOf(folder)).not.toEqual(all)
  })

  it('fails when the folder is there and cannot be read', async () => {
    const link = join(folder, 'link')
    symlinkSync('x'.repeat(1_000), link)

    await expect(snapshotOf(link)).rejects.toMatchObject({ code: 'ENAMETOOLONG' })
  })
})
