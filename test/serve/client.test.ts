import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

import { expect, it, onTestFinished } from 'vitest'

import { diesWithTests } from '../support/dies-with-tests.ts'
import { generateClient, programFolder, typeErrors } from './generated-client.ts'

const EXAMPLE = resolve(import.meta.dirname, '../../examples/09-serving')

/** The service of the example at any free port, with its model in a process of its own. */
const SERVER = `import { service } from ${JSON.stringify(pathToFileURL(join(EXAMPLE, 'service.ts')).href)}

const server = await service.listen({ port: 0 })
console.log(server.url)
process.once('SIGTERM', () => void server.close())
`

function clientProgram(url: string): string {
  return `import { client } from './client/client.gen.ts'
import { cancelJob, getJob, predictAsync, predictBatch, predictSync } from './client/index.ts'

client.setConfig({ baseUrl: ${JSON.stringify(url)}, auth: 'your-token' })
const sql = { code: 'SELECT name, COUNT(*) FROM orders GROUP BY name HAVING COUNT(*) > 2 ORDER BY name;' }
const go = { code: 'package main\\n\\nimport "fmt"\\n\\nfunc main() {\\n\\tfor i := 0; i < 3; i++ {\\n\\t\\tfmt.Println(i)\\n\\t}\\n}\\n' }

const one = await predictSync({ body: sql })
if (one.data === undefined || one.data.error !== null) throw new Error('no output')
const language: string = one.data.language
const candidates: number = one.data.candidates.length

const batch = await predictBatch({ body: [go, { code: 'x = 1' }] })
const outcomes = batch.data?.map((output) => (output.error === null ? output.language : output.error))

const accepted = await predictAsync({ body: { message: go, meta: { file: 'main.go' } } })
const id = accepted.data?.job_id ?? ''
let job = (await getJob({ path: { id } })).data
while (job?.state === 'queued' || job?.state === 'running') {
  await new Promise((resolve) => setTimeout(resolve, 50))
  job = (await getJob({ path: { id } })).data
}
const result = job?.result?.error === null ? job.result.language : undefined

const refused = await cancelJob({ path: { id } })
if (refused.error === undefined) throw new Error('cancelled')
const code: string | undefined = refused.error.code
const wrong = await predictSync({ body: sql, auth: 'wrong' })

console.log(
  JSON.stringify({
    one: { status: one.response?.status, language, candidates },
    outcomes,
    accepted: accepted.response?.status,
    job: { state: job?.state, meta: job?.meta, result },
    refused: { status: refused.response?.status, told: refused.error.status, code },
    wrong: wrong.error?.status,
  }),
)
`
}

it('a client generated from a running service sends inputs, batches and jobs to it', { timeout: 120_000 }, async () => {
  const folder = programFolder()
  copyFileSync(join(EXAMPLE, 'kiq.yaml'), join(folder, 'kiq.yaml'))
  writeFileSync(join(folder, 'server.ts'), SERVER)
  const server = run(folder, 'server.ts')
  const url = await server.firstLine

  const answer = await fetch(`${url}/openapi.json`)
  await generateClient((await answer.json()) as object, folder)

  expect(typeErrors(folder, 'program.ts', clientProgram(url))).toEqual([])
  expect(JSON.parse(await run(folder, 'program.ts').firstLine)).toEqual({
    one: { status: 200, language: 'sql', candidates: 2 },
    outcomes: ['go', 'The code is too short. Send 20 characters or more.'],
    accepted: 202,
    job: { state: 'succeeded', meta: { file: 'main.go' }, result: 'go' },
    refused: { status: 409, told: 409, code: 'KIQ_SERVE_JOB_STATE' },
    wrong: 401,
  })
  expect(await server.stop()).toBe(0)
})

interface Running {
  /** Rejects with what it wrote to standard error when it ends without one. */
  readonly firstLine: Promise<string>
  /** SIGTERM. Resolves with the exit code. */
  stop(): Promise<number | null>
}

function run(folder: string, program: string): Running {
  const child = spawn(process.execPath, ['--import', 'tsx', program], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  diesWithTests(child)
  onTestFinished(() => void child.kill('SIGKILL'))
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const closed = once(child, 'close') as Promise<[number | null]>
  const lines = createInterface({ input: child.stdout })
  const firstLine = Promise.race([
    (once(lines, 'line') as Promise<[string]>).then(([line]) => line),
    closed.then(([code]) => {
      throw new Error(`${program} ended with ${code}:\n${errors}`)
    }),
  ])
  firstLine.catch(() => undefined)
  return {
    firstLine,
    async stop() {
      child.kill('SIGTERM')
      const [code] = await closed
      return code
    },
  }
}
