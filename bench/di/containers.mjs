import assert from 'node:assert/strict'

import { Container } from '@needle-di/core'
import { InjectionMode, asClass, asFunction, asValue, createContainer as createAwilix } from 'awilix'
import { bind, createContainer, token } from 'kiq/di'

/** @typedef {{ readonly url: string }} Config */
/** @typedef {{ readonly name: string, readonly open: () => Svc | Promise<Svc> }} Contender */

// What each contender makes: Svc ← Repo ← Tx, anew for each scope; Tx ← Pool, and Svc ← Config, once.

class Pool {}

export class Tx {
  /** @param {Pool} pool */
  constructor(pool) {
    this.pool = pool
  }
}

export class Repo {
  /** @param {Tx} tx */
  constructor(tx) {
    this.tx = tx
  }
}

export class Svc {
  /**
   * @param {Repo} repo
   * @param {Config} cfg
   */
  constructor(repo, cfg) {
    this.repo = repo
    this.cfg = cfg
  }
}

const Config = token('Config')
/** @type {Config} */
const config = { url: 'db://here' }

/** `class` bindings. */
export function kiqClasses() {
  return createContainer({
    providers: [
      bind(Config, { value: config }),
      bind(Pool, { class: Pool, params: [] }),
      bind(Tx, { scope: 'scoped', class: Tx, params: [Pool] }),
      bind(Repo, { scope: 'scoped', class: Repo, params: [Tx] }),
      bind(Svc, { scope: 'scoped', class: Svc, params: [Repo, Config] }),
    ],
  })
}

/** `create` bindings. */
function kiqFunctions() {
  return createContainer({
    providers: [
      bind(Config, { value: config }),
      bind(Pool, { create: () => new Pool() }),
      bind(Tx, { scope: 'scoped', deps: { pool: Pool }, create: ({ pool }) => new Tx(pool) }),
      bind(Repo, { scope: 'scoped', deps: { tx: Tx }, create: ({ tx }) => new Repo(tx) }),
      bind(Svc, { scope: 'scoped', deps: { repo: Repo, cfg: Config }, create: ({ repo, cfg }) => new Svc(repo, cfg) }),
    ],
  })
}

/** @returns {readonly Contender[]} Each opens a scope, gets a Svc from it and closes it. */
export function contenders() {
  return [
    byHand(),
    kiq('kiq, class', kiqClasses()),
    kiq('kiq, create', kiqFunctions()),
    awilixProxy(),
    awilixClassic(),
    needle(),
  ]
}

/**
 * That every scope gets new values on the same shared ones.
 *
 * @param {Contender} contender
 */
export async function assertScoped({ name, open }) {
  const [one, other] = [await open(), await open()]
  assert(one instanceof Svc && one.repo instanceof Repo && one.repo.tx instanceof Tx, `${name} makes what it should`)
  assert(one !== other && one.repo !== other.repo && one.repo.tx !== other.repo.tx, `${name} makes it for each scope`)
  assert(one.repo.tx.pool instanceof Pool && one.repo.tx.pool === other.repo.tx.pool, `${name} shares the pool`)
  assert(one.cfg === config && other.cfg === config, `${name} shares the settings`)
}

/** @returns {Contender} */
function byHand() {
  const pool = new Pool()
  return { name: 'new, written by hand', open: () => new Svc(new Repo(new Tx(pool)), config) }
}

/**
 * @param {string} name
 * @param {import('kiq/di').Container} container
 * @returns {Contender}
 */
function kiq(name, container) {
  return {
    name,
    open: async () => {
      const scope = container.scope()
      const svc = scope.getSync(Svc)
      await scope.close()
      return svc
    },
  }
}

/** @returns {Contender} */
function awilixProxy() {
  const container = createAwilix({ injectionMode: InjectionMode.PROXY, strict: true })
  container.register({
    config: asValue(config),
    pool: asClass(Pool).singleton(),
    tx: asFunction(({ pool }) => new Tx(pool)).scoped(),
    repo: asFunction(({ tx }) => new Repo(tx)).scoped(),
    svc: asFunction((cradle) => new Svc(cradle.repo, cradle.config)).scoped(),
  })
  return { name: 'awilix, PROXY', open: () => awilixScope(container) }
}

/** @returns {Contender} */
function awilixClassic() {
  const container = createAwilix({ injectionMode: InjectionMode.CLASSIC, strict: true })
  container.register({
    cfg: asValue(config),
    pool: asClass(Pool).singleton(),
    tx: asClass(Tx).scoped(),
    repo: asClass(Repo).scoped(),
    svc: asClass(Svc).scoped(),
  })
  return { name: 'awilix, CLASSIC', open: () => awilixScope(container) }
}

/**
 * @param {import('awilix').AwilixContainer} container
 * @returns {Promise<Svc>}
 */
async function awilixScope(container) {
  const scope = container.createScope()
  const svc = scope.resolve('svc')
  await scope.dispose()
  return svc
}

/**
 * It has no scoped lifetime: what belongs to a scope is bound in a child, of which nothing is closed.
 *
 * @returns {Contender}
 */
function needle() {
  const parent = new Container()
  parent.bindAll({ provide: Pool, useFactory: () => new Pool() }, { provide: 'config', useValue: config })
  const open = () => {
    const child = parent.createChild()
    child.bind({ provide: Tx, useFactory: (container) => new Tx(container.get(Pool)) })
    child.bind({ provide: Repo, useFactory: (container) => new Repo(container.get(Tx)) })
    child.bind({ provide: Svc, useFactory: (container) => new Svc(container.get(Repo), container.get('config')) })
    return child.get(Svc)
  }
  return { name: 'needle, a child container', open }
}
