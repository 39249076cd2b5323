import { Document, isMap, isScalar, Scalar, visit } from 'yaml'

import { escapeUnprintable } from './text.ts'

/** Text before a key, or before the whole document where `at` is empty. */
export interface Comment {
  readonly at: readonly (string | number)[]
  readonly text: string
}

export interface YamlPart {
  readonly content: Readonly<Record<string, unknown>>
  readonly comments?: readonly (Comment | undefined)[]
}

/** Texts that are the same for every reader of YAML when they stand without quotes, but for words such as `yes`. */
const PLAIN = /^[A-Za-z_/][\w./-]*$/

/** One file of YAML, with a document for each part. Keys whose value is undefined are left out. */
export function writeYaml(parts: readonly YamlPart[]): string {
  const documents = parts.map(({ content, comments = [] }, index) => {
    // Kubernetes and Compose read YAML 1.1 in part, where `yes` is a boolean.
    const document = new Document(content, { aliasDuplicateObjects: false, compat: 'yaml-1.1' })
    visit(document, {
      Scalar(_key, node) {
        if (typeof node.value === 'string' && !PLAIN.test(node.value)) node.type = Scalar.QUOTE_DOUBLE
      },
    })
    for (const comment of comments) if (comment !== undefined) place(document, comment)
    const start = index === 0 ? '' : '---\n'
    return start + document.toString({ lineWidth: 0, doubleQuotedAsJSON: true })
  })
  return escapeUnprintable(documents.join(''))
}

function place(document: Document, { at, text }: Comment): void {
  const comment = text
    .split('\n')
    .map((line) => ` ${line}`)
    .join('\n')
  const key = at.at(-1)
  if (key === undefined) {
    document.commentBefore = comment
    return
  }
  const parent: unknown = at.length === 1 ? document.contents : document.getIn(at.slice(0, -1), true)
  if (!isMap(parent)) return
  const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === key)
  if (isScalar(pair?.key)) pair.key.commentBefore = comment
}
