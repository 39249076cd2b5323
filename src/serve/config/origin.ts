/** Where a value comes from. Lines and columns begin at 1. */
export type ConfigOrigin =
  | { readonly from: 'default' }
  | { readonly from: 'file'; readonly file: string; readonly line: number; readonly column: number }
  | {
      readonly from: 'environment'
      readonly variable: string
      /** The `.env` file that sets the variable; none when the process was started with it. */
      readonly file?: string
    }
  | { readonly from: 'overrides' }

export const DEFAULT_ORIGIN: ConfigOrigin = Object.freeze({ from: 'default' })

/** As people look for it: `kiq.yaml:3:5`, `KIQ_APP_POSTFIX`, `KIQ_APP_POSTFIX in .env`, `overrides`, `default`. */
export function originText(origin: ConfigOrigin): string {
  switch (origin.from) {
    case 'file':
      return `${origin.file}:${origin.line}:${origin.column}`
    case 'environment':
      return origin.file === undefined ? origin.variable : `${origin.variable} in ${origin.file}`
    case 'overrides':
    case 'default':
      return origin.from
  }
}

/** `base.key`, or `base["odd key"]`; an index gives `base[0]`. */
export function joinPath(base: string, key: string | number): string {
  if (typeof key === 'number') return `${base}[${key}]`
  if (!/^[\w-]+$/.test(key)) return `${base}[${JSON.stringify(key)}]`
  return base === '' ? key : `${base}.${key}`
}
