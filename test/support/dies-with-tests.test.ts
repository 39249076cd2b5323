import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

import { describe, expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { isAlive } from '../cli/kit.ts'

const SOON = { timeoutMs: 15_000 }
const MODULE = pathToFileURL(join(import.meta.dirname, 'dies-with-tests.ts')).href

/** Tells the id of the child, and that of the child of that. */
const CHILD = `
  import { spawn } from 'node:child_process'
  import { diesWithTests } from '${MODULE}'
  const child = spawn('sh', ['-c', 'sleep 100 & echo $!; wait'], { stdio: ['ignore', 'pipe', 'ignore'], detached: true })
  diesWithTests(child, 'group')
  child.stdout.on('data', (pid) => console.log(child.pid + ' ' + pid))
`

describe('a process that dies with the tests', () => {
  it.each([
    ['when this process is killed', ''],
    ['when this process exits', 'child.stdout.on("data", () => setImmediate(() => process.exit()))'],
    ['with all that it started when it ends itself', 'child.stdout.on("data", () => child.kill("SIGKILL"))'],
  ])('dies %s', async (_when, then) => {
    const tests = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', CHILD + then], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exit = once(tests, 'exit')

    const [line] = (await once(createInterface(tests.stdout), 'line')) as [string]
    const pids = line.trim().split(' ').map(Number)
    expect(pids).toHaveLength(2)
    if (then === '') tests.kill('SIGKILL')

    await exit
    await until(() => !pids.some(isAlive), SOON)
  })
})
