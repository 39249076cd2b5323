import type { Plan } from './plan.ts'

/** Names of the Secrets that are this service's own. */
export function secretNames({ name, variableSets }: Plan): { readonly variables: string; readonly files: string } {
  const taken = new Set(variableSets.map((set) => set.name))
  const free = (suffix: string): string => {
    let found = `${name}-${suffix}`
    while (taken.has(found)) found += '-own'
    return found
  }
  return { variables: free('env'), files: free('files') }
}
