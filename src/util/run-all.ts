/** Runs every step, also after one that threw; returns the errors. */
export async function runAll(steps: readonly (() => unknown)[]): Promise<unknown[]> {
  const errors: unknown[] = []
  for (const step of steps) {
    try {
      await step()
    } catch (error) {
      errors.push(error)
    }
  }
  return errors
}
