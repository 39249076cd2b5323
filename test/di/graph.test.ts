import { describe, expect, it } from 'vitest'

import { TaskInfo, all, bind, createContainer, lazy, module, optional, token } from '../../src/di/index.ts'
import { InMemoryBroker } from '../../src/index.ts'

const Url = token<string>('Url')
const Pool = token<string>('Pool')
const Users = token<string>('Users')
const Audit = token<string>('Audit "log"')
const Metrics = token<string>('Metrics')
const Plugin = token<string>('Plugin')
const Stamp = token<number>('Stamp')

const infra = module('infra', [
  bind(Url, { value: 'postgres://db' }),
  bind(Pool, { deps: { url: Url }, create: () => 'pool' }),
])
const container = createContainer({
  modules: [infra],
  providers: [
    bind(Users, {
      scope: 'scoped',
      deps: { pool: lazy(Pool), audit: Audit, metrics: optional(Metrics) },
      *use() {
        yield 'users'
      },
    }),
    bind(Audit, { alias: Pool }),
    bind(Plugin, { value: 'a', multi: true }),
    bind(Plugin, { value: 'b', multi: true }),
    bind(Stamp, { scope: 'transient', deps: { plugins: all(Plugin) }, create: () => 1 }),
  ],
})
const task = new InMemoryBroker().task({
  name: 'welcome',
  deps: { users: Users, info: TaskInfo },
  run: (_args: object, { users }) => users,
})
const graph = container.graph([task])

describe('the graph of a container', () => {
  it('is a flowchart of Mermaid', () => {
    expect(graph.toMermaid()).toBe(`\
flowchart LR
  n0(["task:welcome"])
  n1("Users<br>scoped use")
  n2["Pool<br>singleton create<br>module infra"]
  n3["Url<br>singleton value<br>module infra"]
  n4["Audit #quot;log#quot;<br>alias"]
  n5{{"Metrics<br>nothing is bound to it"}}
  n6("TaskInfo<br>built in")
  n7["Plugin<br>singleton value"]
  n8["Plugin<br>singleton value"]
  n9>"Stamp<br>transient create"]
  n2 --> n3
  n1 -. lazy .-> n2
  n4 --> n2
  n1 --> n4
  n1 -. optional .-> n5
  n0 --> n1
  n0 --> n6
  n9 -. all .-> n7
  n9 -. all .-> n8
`)
  })

  it('is a digraph of Graphviz', () => {
    expect(graph.toDot()).toBe(`\
digraph kiq {
  rankdir=LR;
  "task:welcome" [label="task:welcome", shape=ellipse];
  "Users" [label="Users\\nscoped use", shape=box];
  "Pool" [label="Pool\\nsingleton create\\nmodule infra", shape=box];
  "Url" [label="Url\\nsingleton value\\nmodule infra", shape=box];
  "Audit \\"log\\"" [label="Audit \\"log\\"\\nalias", shape=box];
  "Metrics" [label="Metrics\\nnothing is bound to it", shape=octagon];
  "TaskInfo" [label="TaskInfo\\nbuilt in", shape=box];
  "Plugin" [label="Plugin\\nsingleton value", shape=box];
  "Plugin 2" [label="Plugin\\nsingleton value", shape=box];
  "Stamp" [label="Stamp\\ntransient create", shape=box];
  "Pool" -> "Url";
  "Users" -> "Pool" [style=dashed, label="lazy"];
  "Audit \\"log\\"" -> "Pool";
  "Users" -> "Audit \\"log\\"";
  "Users" -> "Metrics" [style=dashed, label="optional"];
  "task:welcome" -> "Users";
  "task:welcome" -> "TaskInfo";
  "Stamp" -> "Plugin" [style=dashed, label="all"];
  "Stamp" -> "Plugin 2" [style=dashed, label="all"];
}
`)
  })

  it('is data', () => {
    const small = createContainer({ modules: [infra], providers: [bind(Stamp, { value: 1 })] }).graph()

    expect(JSON.parse(JSON.stringify(small))).toEqual({
      nodes: [
        { id: 'Url', name: 'Url', kind: 'value', scope: 'singleton', module: 'infra' },
        { id: 'Pool', name: 'Pool', kind: 'create', scope: 'singleton', module: 'infra' },
        { id: 'Stamp', name: 'Stamp', kind: 'value', scope: 'singleton' },
      ],
      edges: [{ from: 'Pool', to: 'Url', name: 'url', mode: 'one' }],
    })
    expect(graph.toJSON()).toEqual({ nodes: graph.nodes, edges: graph.edges })
  })

  it('is empty when nothing is bound', () => {
    const empty = createContainer().graph()

    expect(empty.toJSON()).toEqual({ nodes: [], edges: [] })
    expect(empty.toMermaid()).toBe('flowchart LR\n')
    expect(empty.toDot()).toBe('digraph kiq {\n  rankdir=LR;\n}\n')
  })

  it('shows what does not fit, too', () => {
    const One = token<string>('One')
    const Other = token<string>('Other')
    const circle = createContainer({
      providers: [
        bind(One, { deps: { other: Other }, create: () => 'one' }),
        bind(Other, { deps: { one: One }, create: () => 'other' }),
      ],
    }).graph()

    expect(circle.edges.map(({ from, to }) => `${from} > ${to}`).toSorted()).toEqual(['One > Other', 'Other > One'])
    expect(circle.explain(One)).toBe(`\
One, singleton create
  other: Other, singleton create
    one: One, singleton create (see above)
needed by Other
`)
  })

  it('makes nothing', () => {
    let made = 0
    const one = createContainer({ providers: [bind(Stamp, { create: () => (made += 1) })] })

    one.graph().toMermaid()

    expect(made).toBe(0)
  })
})

describe('explain()', () => {
  it('tells what a key is, what it needs, and who needs it', () => {
    expect(graph.explain(Users)).toBe(`\
Users, scoped use
  pool: Pool, singleton create, module infra (lazy)
    url: Url, singleton value, module infra
  audit: Audit "log", alias
    Pool, singleton create, module infra (see above)
  metrics: Metrics, nothing is bound to it (optional)
needed by task:welcome
`)
    expect(graph.explain(Pool)).toBe(`\
Pool, singleton create, module infra
  url: Url, singleton value, module infra
needed by Users (lazy), Audit "log"
`)
  })

  it('takes names, also of tasks', () => {
    expect(graph.explain('Url')).toBe(graph.explain(Url))
    expect(graph.explain('task:welcome')).toMatch(/^task:welcome\n {2}users: Users, scoped use\n/)
    expect(graph.explain('task:welcome')).toMatch(/\n {2}info: TaskInfo, built in\n$/)
  })

  it('tells of each of several, and of what is not there', () => {
    const plugin = 'Plugin, singleton value\nneeded by Stamp (all)\n'
    expect(graph.explain(Plugin)).toBe(`${plugin}\n${plugin}`)
    expect(graph.explain(Metrics)).toBe('Metrics, nothing is bound to it\nneeded by Users (optional)\n')
    expect(graph.explain('Nobody')).toBe('Nobody: nothing is bound to it, and nobody needs it.\n')
  })
})
