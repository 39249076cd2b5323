/** The children of an element: elements and texts. */
type Child = SmallElement | string

/**
 * As much of an element as a page needs that builds itself with `createElement`, `append` and `textContent`. What it does
 * not have throws, so that a page which begins to use it is noticed.
 */
export class SmallElement extends EventTarget {
  readonly tag: string
  readonly attributes: Map<string, string> = new Map()
  readonly dataset: Record<string, string> = {}
  readonly children: Child[] = []
  value: string = ''
  disabled: boolean = false
  hidden: boolean = false
  open: boolean = false

  constructor(tag: string) {
    super()
    this.tag = tag
  }

  setAttribute(name: string, value: string): void {
    this.attributes.set(name, value)
  }

  append(...children: readonly unknown[]): void {
    for (const child of children) this.children.push(child instanceof SmallElement ? child : String(child))
  }

  replaceChildren(...children: readonly unknown[]): void {
    this.children.length = 0
    this.append(...children)
  }

  get textContent(): string {
    return this.children.map((child) => (typeof child === 'string' ? child : child.textContent)).join('')
  }

  set textContent(text: string) {
    this.replaceChildren(...(text === '' ? [] : [text]))
  }

  set innerHTML(_: string) {
    throw new Error('A page sets texts, and no HTML.')
  }

  /** All elements below this one with a tag, in the order of the document. */
  all(tag: string): readonly SmallElement[] {
    return this.children.flatMap((child) => {
      if (typeof child === 'string') return []
      return child.tag === tag ? [child, ...child.all(tag)] : child.all(tag)
    })
  }

  /** The only element below this one with a tag and, if given, a text that it contains. */
  one(tag: string, text: string = ''): SmallElement {
    const found = this.all(tag).filter((element) => element.textContent.includes(text))
    const [only] = found
    if (only === undefined || found.length > 1) throw new Error(`${found.length} elements "${tag}" with "${text}"`)
    return only
  }

  /** The control with this label. */
  labelled(text: string): SmallElement {
    const id = this.one('label', text).attributes.get('for')
    const controls = ['input', 'select', 'textarea'].flatMap((tag) => this.all(tag))
    const control = controls.find((element) => element.attributes.get('id') === id)
    if (control === undefined) throw new Error(`no control for "${text}"`)
    return control
  }
}

/** A document with elements under their ids. */
export interface SmallDocument {
  readonly body: SmallElement
  createElement(tag: string): SmallElement
  getElementById(id: string): SmallElement | null
}

export function smallDocument(ids: readonly string[]): SmallDocument {
  const elements = new Map(ids.map((id) => [id, new SmallElement('div')]))
  return {
    body: new SmallElement('body'),
    createElement: (tag) => new SmallElement(tag),
    getElementById: (id) => elements.get(id) ?? null,
  }
}
