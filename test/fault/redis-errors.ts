/** What a promise rejects with, which must be an error. */
export async function errorOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise
  } catch (error) {
    if (error instanceof Error) return error
    throw new Error(`It rejected with ${String(error)}, which is no error.`)
  }
  throw new Error('It did not reject.')
}
