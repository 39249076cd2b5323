import { createContainer as createAwilix } from 'awilix'
import { Container as Inversify } from 'inversify'
import { describe, expectTypeOf, it } from 'vitest'

import { bind, bridge, token } from '../../src/di/index.ts'
import type { Provider } from '../../src/di/index.ts'

interface Session {
  readonly id: string
  query(sql: string): Promise<number>
}
class Repo {
  readonly #rows: readonly number[] = []
  get count(): number {
    return this.#rows.length
  }
}

const Session = token<Session>('Session')
declare const session: Session

const awilix = createAwilix<{ session: Session; repo: Repo; limit: number }>()
const fromAwilix = bridge({ name: 'awilix', openScope: () => awilix.createScope(), closeScope: (s) => s.dispose() })
const inversify = new Inversify()
const fromInversify = bridge({
  name: 'inversify',
  openScope: () => new Inversify({ parent: inversify }),
  closeScope: (child) => child.unbindAllAsync(),
})

describe('the scope', () => {
  it('has the type that openScope returns, or resolves with', () => {
    fromAwilix.from((scope) => {
      expectTypeOf(scope.cradle.limit).toEqualTypeOf<number>()
      return scope.cradle.session
    })
    fromInversify.from((scope) => {
      expectTypeOf(scope).toEqualTypeOf<Inversify>()
      return session
    })
    const later = bridge({
      name: 'later',
      openScope: async ({ taskId }) => ({ taskId, get: () => session }),
      closeScope: (scope, outcome) => {
        expectTypeOf(scope.taskId).toEqualTypeOf<string>()
        expectTypeOf(outcome.error).toEqualTypeOf<unknown>()
      },
    })
    expectTypeOf(
      bind(
        Session,
        later.from((scope) => scope.get()),
      ),
    ).toEqualTypeOf<Provider>()
    // @ts-expect-error -- the scope has no such member
    later.from((scope) => scope.resolve())
  })
})

describe('what comes over the bridge', () => {
  it('has to fit the key, now or later', () => {
    bind(
      Session,
      fromAwilix.from((scope) => scope.resolve('session')),
    )
    bind(
      Session,
      fromAwilix.from((scope) => scope.cradle.session),
    )
    bind(
      Repo,
      fromAwilix.from(({ cradle }) => cradle.repo),
    )
    bind(
      Session,
      fromInversify.from((scope) => scope.get<Session>('session')),
    )
    bind(
      Session,
      fromInversify.from((scope) => scope.getAsync<Session>('session')),
    )
    bind(
      Repo,
      fromInversify.from((scope) => scope.get(Repo)),
    )
    bind(
      Session,
      // @ts-expect-error -- a number is no session
      fromAwilix.from((scope) => scope.resolve('limit')),
    )
    bind(
      Session,
      // @ts-expect-error -- a number is no session
      fromAwilix.from((scope) => scope.cradle.limit),
    )
    bind(
      Session,
      // @ts-expect-error -- a repository is no session
      fromInversify.from((scope) => scope.get(Repo)),
    )
    bind(
      Session,
      // @ts-expect-error -- nor is the promise of one
      fromInversify.from((scope) => scope.getAsync(Repo)),
    )
    bind(
      Repo,
      // @ts-expect-error -- a session is no repository
      fromAwilix.from((scope) => scope.cradle.session),
    )
  })

  it('may be more than the key asks for', () => {
    interface TracedSession extends Session {
      readonly trace: string
    }
    const traced = (): TracedSession => ({ ...session, trace: '' })

    bind(Session, fromAwilix.from(traced))
    bind(
      Session,
      fromAwilix.from(async () => await Promise.resolve(traced())),
    )
  })
})
