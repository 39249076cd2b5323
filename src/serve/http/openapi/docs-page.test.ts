import { createHash } from 'node:crypto'
import { Script } from 'node:vm'

import { describe, expect, it } from 'vitest'

import { DOCS_CSP, docsPage } from './docs-page.ts'

const page = docsPage({ title: 'shop', documentPath: '/openapi.json' })

function only(tag: string): string {
  const found = [...page.matchAll(new RegExp(`<${tag}>([^]*?)</${tag}>`, 'g'))]
  expect(found).toHaveLength(1)
  return found[0]?.[1] ?? ''
}

describe('the page that shows the document', () => {
  it.each(['script', 'style'])('has one %s, which its policy allows by its hash', (tag) => {
    const hash = createHash('sha256').update(only(tag)).digest('base64')
    expect(DOCS_CSP).toContain(`${tag}-src 'sha256-${hash}'`)
  })

  it('has a policy that allows nothing else than its own host', () => {
    expect(DOCS_CSP).toContain("default-src 'none'")
    expect(DOCS_CSP).toContain("connect-src 'self'")
    expect(DOCS_CSP).not.toMatch(/unsafe|\*|https?:/)
  })

  it('loads nothing from elsewhere, and has no style or handler in an attribute', () => {
    expect(page).not.toMatch(/(?:src|href)="(?!data:,"|\/openapi\.json")/)
    expect(page).not.toMatch(/<[^>]*\s(?:style|on[a-z]+)=/)
    expect(only('style')).not.toMatch(/@import|url\(/)
  })

  it('has a script without errors of syntax, which sets no HTML', () => {
    expect(() => new Script(only('script'))).not.toThrow()
    expect(only('script')).not.toMatch(/innerHTML|outerHTML|insertAdjacent|document\.write|eval/)
  })

  it('escapes the title and the path', () => {
    const odd = docsPage({ title: `</title><script>alert('1')</script>&`, documentPath: '/"><img src=x>' })
    expect(odd).toContain('<title>&lt;/title&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;</title>')
    expect(odd).toContain('data-document="/&quot;&gt;&lt;img src=x&gt;"')
    expect(odd.match(/<script>/g)).toHaveLength(1)
    expect(odd).not.toContain('<img')
  })

  it('says its language, fits narrow windows, and names its alternative without scripts', () => {
    expect(page).toContain('<html lang="en">')
    expect(page).toContain('width=device-width')
    expect(page).toMatch(/<noscript>.*href="\/openapi\.json"/)
  })

  it('has colours that can be read on light and on dark', () => {
    const palettes = [...only('style').matchAll(/--back: [^}]*/g)].map(([text]) =>
      Object.fromEntries([...text.matchAll(/--(\w+): (#\w{6})/g)].map(([, name = '', colour = '']) => [name, colour])),
    )
    expect(palettes).toHaveLength(2)
    for (const palette of palettes) {
      const { back = '', soft = '', line = '', ...texts } = palette
      for (const colour of Object.values(texts)) {
        expect(contrast(colour, back)).toBeGreaterThan(4.5)
        expect(contrast(colour, soft)).toBeGreaterThan(4.5)
      }
      // Borders of controls need less.
      expect(contrast(line, back)).toBeGreaterThan(3)
    }
  })
})

/** As the Web Content Accessibility Guidelines define it. */
function contrast(one: string, other: string): number {
  const [darker = 0, lighter = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b)
  return (lighter + 0.05) / (darker + 0.05)
}

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}
