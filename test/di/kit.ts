import type { Container, Problem } from '../../src/di/index.ts'
import type { KiqError } from '../../src/index.ts'

/** What the function threw, or its promise rejected with. Fails when it did neither. */
export async function thrownBy(fn: () => unknown): Promise<unknown> {
  try {
    await fn()
  } catch (error) {
    return error
  }
  throw new Error('Nothing was thrown.')
}

/** The code of what the function threw. */
export async function codeOf(fn: () => unknown): Promise<string | undefined> {
  return ((await thrownBy(fn)) as Partial<KiqError>).code
}

/** Of each problem its code and its path, in one line. */
export function outline(problems: readonly Problem[]): readonly string[] {
  return problems.map(({ code, path }) => `${code} ${path.join(' > ')}`)
}

/** The problems of a container with nothing but what is bound. */
export function outlineOf(container: Container): readonly string[] {
  return outline(container.validate())
}
