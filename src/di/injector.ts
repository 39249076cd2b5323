import type { InjectedCall, InjectedTask, Provider, TaskInjector } from '../contract/index.ts'
import type { Broker, TaskContext } from '../core/index.ts'
import type { CopyOptions, OwnContainer } from './container.ts'
import { rootOfTask } from './find-problems.ts'
import type { Root } from './find-problems.ts'
import type { Problem } from './problems.ts'
import { rootOfHooks } from './task-middleware.ts'
import type { TaskHooks } from './task-middleware.ts'
import { TaskRun } from './task-run.ts'
import type { PlannedHooks, TaskPlan, TaskRunParts } from './task-run.ts'

export interface InjectorParts {
  readonly broker: Broker
  readonly container: OwnContainer
  readonly middlewares: readonly TaskHooks[]
  /** Whether the container is closed when the broker stops. */
  readonly closesContainer: boolean
}

export interface TestParts extends CopyOptions {
  readonly broker: Broker
  readonly middlewares: readonly TaskHooks[]
}

/** Gives the tasks of a broker what a container has. */
export class ContainerInjector implements TaskInjector<TaskContext> {
  readonly #parts: InjectorParts
  readonly #plans = new Map<InjectedTask, TaskPlan>()
  #middlewares: readonly PlannedHooks[] | undefined
  /** The same for all executions. */
  #runParts: TaskRunParts | undefined

  constructor(parts: InjectorParts) {
    this.#parts = parts
  }

  get container(): OwnContainer {
    return this.#parts.container
  }

  /** What asks the container for something. */
  roots(tasks: readonly InjectedTask[]): readonly Root[] {
    const ofTasks = tasks.filter(({ run }) => run !== undefined).map(rootOfTask)
    return [...ofTasks, ...this.#parts.middlewares.map(rootOfHooks)]
  }

  /** Everything that is worth a word, for `kiq check`. */
  problems(tasks: readonly InjectedTask[]): readonly Problem[] {
    return this.container.problems(this.roots(tasks), { unused: true })
  }

  check(tasks: readonly InjectedTask[]): void {
    this.container.check(this.roots(tasks))
    // So that none of them is checked again by itself.
    for (const task of tasks) if (task.run !== undefined) this.#addPlan(task, rootOfTask(task))
  }

  async start(tasks: readonly InjectedTask[]): Promise<void> {
    const here = tasks.filter(({ run }) => run !== undefined)
    const links = here.flatMap((task) => this.#plan(task).links ?? [])
    await this.container.store.start([...links, ...this.#hooks().flatMap((planned) => planned.links)])
  }

  begin(call: InjectedCall<TaskContext>): TaskRun {
    const plan = this.#plans.get(call.task) ?? this.#plan(call.task)
    const parts = (this.#runParts ??= this.#makeRunParts())
    parts.store.assertOpen(plan.label)
    return new TaskRun(call, plan, parts)
  }

  #makeRunParts(): TaskRunParts {
    const { broker, container } = this.#parts
    return { broker, store: container.store, middlewares: this.#hooks() }
  }

  fork(overrides: readonly Provider[]): ContainerInjector {
    const container = this.container.fork({ overrides })
    return new ContainerInjector({ ...this.#parts, container, closesContainer: true })
  }

  /** With a container of its own, for a broker that stands in for this one in a test. */
  forTest({ broker, middlewares, ...more }: TestParts): ContainerInjector {
    return new ContainerInjector({
      broker,
      container: this.container.copy(more),
      middlewares: [...this.#parts.middlewares, ...middlewares],
      closesContainer: true,
    })
  }

  async stop(): Promise<void> {
    if (this.#parts.closesContainer) await this.close()
  }

  async close(): Promise<void> {
    await this.container.close()
  }

  /** Tasks that were declared after the start are checked here, when they first run. */
  #plan(task: InjectedTask): TaskPlan {
    const known = this.#plans.get(task)
    if (known) return known
    const root = rootOfTask(task)
    this.container.store.check([root])
    return this.#addPlan(task, root)
  }

  #addPlan(task: InjectedTask, { edges }: Root): TaskPlan {
    const links = task.deps === undefined ? undefined : this.container.store.registry.link(edges)
    const plan = { label: `task:${task.name}`, links }
    this.#plans.set(task, plan)
    return plan
  }

  #hooks(): readonly PlannedHooks[] {
    return (this.#middlewares ??= this.#planHooks())
  }

  #planHooks(): readonly PlannedHooks[] {
    const { store } = this.container
    const planned = this.#parts.middlewares.map((hooks, i) => ({ hooks, root: rootOfHooks(hooks, i) }))
    store.check(planned.map(({ root }) => root))
    return planned.map(({ hooks, root: { label, edges } }) => ({ hooks, label, links: store.registry.link(edges) }))
  }
}
