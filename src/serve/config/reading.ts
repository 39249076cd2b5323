import { nearest } from '../../util/nearest.ts'
import { show } from '../../util/show.ts'
import type { ConfigFinding, ConfigNote } from './finding.ts'
import { originText } from './origin.ts'
import type { ConfigOrigin } from './origin.ts'
import { plain } from './tree.ts'
import type { Tree } from './tree.ts'

/** Stands for a value that does not fit, once that is reported. */
export const BAD: unique symbol = Symbol('bad')
export type Bad = typeof BAD

/** Collects what is found while a tree is read. */
export class Reading {
  readonly problems: ConfigFinding[] = []
  /** What is not set and has no default; apart, because the file that failed to load may have had it. */
  readonly missing: ConfigFinding[] = []
  readonly warnings: ConfigFinding[] = []
  readonly notes: ConfigNote[] = []
  readonly origins: Map<string, ConfigOrigin> = new Map<string, ConfigOrigin>()
  /** The environment, for references to it. */
  readonly variable: (name: string) => string | undefined

  constructor(variable: (name: string) => string | undefined) {
    this.variable = variable
  }

  problem(path: string, origin: ConfigOrigin, what: string): void {
    this.problems.push({ path, origin, message: `${originText(origin)}: ${path} ${what}` })
  }

  bad(value: Tree, path: string, expected: string): Bad {
    const shown = value.kind === 'scalar' && value.text !== undefined ? value.text : show(plain(value))
    this.problem(path, value.origin, `is ${shown}; expected ${expected}.`)
    return BAD
  }

  /** The same for a value that nobody may see. */
  badSecret(value: Tree, path: string, expected: string): Bad {
    this.problem(path, value.origin, `is a value that is not shown here; expected ${expected}.`)
    return BAD
  }

  /** `section`: where the map stands that should have it; only a file is a place to look at. */
  lacks(path: string, section: ConfigOrigin, expected: string): Bad {
    const variable = `KIQ_${path.toUpperCase().replaceAll('.', '__')}`
    const isAddressable = /^[\w.]+$/.test(path)
    const how = isAddressable ? `Set it in a file, or as ${variable}.` : 'Add it there.'
    const origin = section.from === 'file' ? section : undefined
    const place = origin === undefined ? '' : `${originText(origin)}: `
    this.missing.push({ path, origin, message: `${place}${path} is missing; expected ${expected}. ${how}` })
    return BAD
  }

  unknown(
    path: string,
    origin: ConfigOrigin,
    options: { readonly name: string; readonly known: readonly string[] },
  ): void {
    const close = nearest(options.name, options.known)
    const hint = close === undefined ? `Known here: ${options.known.join(', ')}.` : `Did you mean ${close}?`
    this.warnings.push({ path, origin, message: `${originText(origin)}: nothing reads ${path}. ${hint}` })
  }

  note(path: string, origin: ConfigOrigin, note: Pick<ConfigNote, 'effect' | 'message'>): void {
    this.notes.push({
      path,
      origin,
      effect: note.effect,
      message: `${originText(origin)}: ${path} ${note.message}`,
    })
  }
}
