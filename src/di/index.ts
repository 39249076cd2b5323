export { bridge } from './bridge.ts'
export type { Bridge, BridgedSpec, BridgeOptions } from './bridge.ts'
export { Clock, CurrentScope, Enqueuer, TaskInfo, TaskLog, TaskProgress, TaskSignal, TaskState } from './builtins.ts'
export { configModule } from './config-module.ts'
export type { ConfigModuleOptions } from './config-module.ts'
export { createContainer } from './container.ts'
export type { Container, ContainerOptions, ValidatedTask, ValidateOptions } from './container.ts'
export type { BuildEvent, DisposeEvent } from './diagnostics.ts'
export { DisposeError, InjectionError, ProviderError, ScopeError } from './errors.ts'
export type { Graph, GraphEdge, GraphNode } from './graph.ts'
export { inject, injectAsync } from './inject.ts'
export { all, lazy, optional, token } from './keys.ts'
export { module } from './module.ts'
export type { Module, ModuleOptions } from './module.ts'
export type { Problem } from './problems.ts'
export { bind } from './provider.ts'
export type { AliasSpec, ClassSpec, CreateSpec, Lifetime, ParamKeys, UseSpec, ValueSpec } from './provider.ts'
export type { Scope, ScopeOutcome } from './scope.ts'
export { setupInjection } from './setup.ts'
export type { InjectionOptions } from './setup.ts'
export { taskMiddleware } from './task-middleware.ts'
export type { HookPhase, TaskMiddleware, TaskMiddlewareSpec } from './task-middleware.ts'
export type {
  AllKey,
  Dependency,
  Deps,
  DepsOrThunk,
  Key,
  LazyKey,
  OptionalKey,
  Provider,
  Token,
  Value,
  Values,
} from '../contract/index.ts'
