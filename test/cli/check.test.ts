import { afterEach, describe, expect, it } from 'vitest'

import { Project } from './kit.ts'

let project: Project

afterEach(async () => {
  await project.end()
})

const HEAD = `import { InMemoryBroker } from 'kiq'
import { bind, createContainer, lazy, module, setupInjection, TaskInfo, token } from 'kiq/di'
class Db {}
class Tx { constructor(db: Db) { void db } }
const Mailer = token<{ send(): void }>('Mailer')
export const broker = new InMemoryBroker()
`

const GOOD = `${HEAD}
broker.task({ name: 'welcome', deps: { tx: Tx, info: TaskInfo, mail: lazy(Mailer) }, run: () => 1 })
broker.task('plain', () => 1)
const infra = module('infra', [
  bind(Db, { create: () => { throw new Error('nothing is made') } }),
  bind(Tx, { scope: 'scoped', class: Tx, params: [Db] }),
  bind(Mailer, { create: () => ({ send() {} }) }),
])
setupInjection(broker, createContainer({ modules: [infra] }))
`

const BAD = `${HEAD}
const Mailr = token<{ send(): void }>('Mailr')
broker.task({ name: 'welcome', deps: { mail: Mailr }, run: () => 1 })
setupInjection(broker, createContainer({ providers: [
  bind(Mailer, { deps: { tx: Tx }, create: () => ({ send() {} }) }),
  bind(Tx, { scope: 'scoped', class: Tx, params: [Db] }),
  bind(Db, { value: {} }),
] }))
`

async function check(files: Readonly<Record<string, string>>, ...args: readonly string[]) {
  project = new Project(files)
  const run = project.kiq('check', ...args)
  return { code: await run.exit, stdout: run.stdout, stderr: run.stderr }
}

describe('kiq check', () => {
  it('shows what every task is injected, and starts nothing', async () => {
    expect(await check({ 'tasks.ts': GOOD }, './tasks.ts:broker')).toEqual({
      code: 0,
      stderr: '',
      stdout: `task:welcome
  tx: Tx, scoped class, module infra
    parameter 1: Db, singleton create, module infra
  info: TaskInfo, built in
  mail: Mailer, singleton create, module infra (lazy)

task:plain

Everything fits together.
`,
    })
  })

  it('tells all problems, and ends with exit code 2', async () => {
    const { code, stdout } = await check({ 'tasks.ts': BAD }, './tasks.ts')

    expect(code).toBe(2)
    expect(stdout).toContain(`error KIQ_DI_MISSING
  Nothing is bound to Mailr: task:welcome > Mailr.
  Bind it in a module of the container, or ask for optional(Mailr). Did you mean Mailer?
`)
    expect(stdout).toContain(
      'error KIQ_DI_CAPTIVE\n  The singleton Mailer would keep Tx of one task for ever: Mailer > Tx.\n',
    )
    expect(stdout).toContain('info KIQ_DI_UNUSED\n')
    expect(stdout).toMatch(/\n2 errors, 0 warnings, 3 notes\.\n$/)
  })

  it('prints the graph alone, for Mermaid, Graphviz or programs', async () => {
    project = new Project({ 'tasks.ts': GOOD })
    const outputs = ['mermaid', 'dot', 'json'].map(async (format) => {
      const run = project.kiq('check', './tasks.ts', '--graph', format)
      await run.exit
      return run.stdout
    })

    const [mermaid, dot, json] = await Promise.all(outputs)

    expect(mermaid).toMatch(/^flowchart LR\n {2}n0\(\["task:welcome"\]\)\n/)
    expect(dot).toContain('"task:welcome" -> "Mailer" [style=dashed, label="lazy"];')
    expect(JSON.parse(json ?? '')).toMatchObject({
      nodes: expect.arrayContaining([{ id: 'Tx', name: 'Tx', kind: 'class', scope: 'scoped', module: 'infra' }]),
      edges: expect.arrayContaining([{ from: 'Tx', to: 'Db', name: 'parameter 1', mode: 'one' }]),
    })
  })

  it('explains one key', async () => {
    const { stdout } = await check({ 'tasks.ts': GOOD }, './tasks.ts', '--explain', 'Db')

    expect(stdout).toBe('Db, singleton create, module infra\nneeded by Tx\n')
  })

  it('prints JSON', async () => {
    const { stdout } = await check({ 'tasks.ts': BAD }, './tasks.ts', '--json')

    expect(JSON.parse(stdout)).toMatchObject({
      tasks: ['welcome'],
      hasContainer: true,
      problems: expect.arrayContaining([expect.objectContaining({ code: 'KIQ_DI_MISSING' })]),
      graph: { nodes: expect.any(Array) },
    })
  })

  it('says so when there is no container, and whether one is needed', async () => {
    const plain = `${HEAD}broker.task('plain', () => 1)\n`
    const needy = `${HEAD}broker.task({ name: 'needy', deps: { mail: Mailer }, run: () => 1 })\n`

    expect((await check({ 'tasks.ts': plain }, './tasks.ts')).stdout).toContain('The broker has no container')
    await project.end()
    const { code, stderr } = await check({ 'tasks.ts': needy }, './tasks.ts')
    expect(code).toBe(2)
    expect(stderr).toContain('KIQ_DI_NOT_SET_UP: The task(s) needy declare `deps`, but the broker has no container.')
  })
})
