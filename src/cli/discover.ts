import { glob } from 'tinyglobby'

export const DEFAULT_PATTERNS: readonly string[] = ['**/tasks.{ts,js,mts,mjs}']

/** Files below `dir` that match, as absolute paths in a stable order. Never looks into `node_modules`, nor into `dir/dist`. */
export async function discoverModules(patterns: readonly string[], dir: string): Promise<readonly string[]> {
  const found = await glob([...patterns], {
    cwd: dir,
    absolute: true,
    onlyFiles: true,
    expandDirectories: false,
    ignore: ['**/node_modules/**', 'dist/**'],
  })
  return found.filter((path) => !path.endsWith('.d.ts') && !path.endsWith('.d.mts')).sort()
}
