/**
 * The program of the page. Plain JavaScript in a string, so that it is the same from the TypeScript sources, from `dist` and
 * from a bundle: the policy of the page names its hash. Whatever comes from the document or from an answer is set as text.
 */
export const DOCS_SCRIPT: string = String.raw`'use strict'
;(() => {
const MAX_TEXT = 200000
const MAX_DEPTH = 8
const MAX_FOLLOWED = 200
const root = document.getElementById('routes')
const documentUrl = new URL(document.body.dataset.document, location.href)
const base = new URL('.', documentUrl)
let ids = 0
let api = {}

/** An element with attributes and children; texts become text nodes. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value)
  element.append(...children.filter((child) => child !== undefined))
  return element
}

function resolve(value) {
  let found = value
  for (let n = 0; n < 20 && found && typeof found.$ref === 'string'; n++) {
    if (!found.$ref.startsWith('#/')) return {}
    let at = api
    for (const part of found.$ref.slice(2).split('/')) {
      const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
      at = at !== null && typeof at === 'object' && Object.hasOwn(at, key) ? at[key] : undefined
    }
    const { $ref, ...others } = found
    found = { ...(typeof at === 'object' ? at : {}), ...others }
  }
  return found && typeof found === 'object' ? found : {}
}

function nameOf(ref) {
  return ref.slice(ref.lastIndexOf('/') + 1)
}

let followed = 0

/** A schema in the form of a type, with its references followed: the first of them, so that it ends soon. */
function typeOf(schema) {
  followed = 0
  return typeText(schema, '', [])
}

function typeText(schema, indent, seen) {
  if (schema === true || schema === undefined) return 'anything'
  if (schema === false) return 'nothing'
  if (typeof schema.$ref === 'string') {
    if (seen.includes(schema.$ref) || seen.length >= MAX_DEPTH || ++followed > MAX_FOLLOWED) return nameOf(schema.$ref)
    return typeText(resolve(schema), indent, [...seen, schema.$ref])
  }
  if ('const' in schema) return JSON.stringify(schema.const)
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => JSON.stringify(value)).join(' | ')
  const parts = (list, mark) => list.map((one) => typeText(one, indent, seen)).join(mark)
  if (Array.isArray(schema.allOf)) return parts(schema.allOf, ' & ')
  if (Array.isArray(schema.anyOf)) return parts(schema.anyOf, ' | ')
  if (Array.isArray(schema.oneOf)) return parts(schema.oneOf, ' | ')
  if (Array.isArray(schema.type)) return schema.type.map((type) => typeText({ ...schema, type }, indent, seen)).join(' | ')
  if (schema.type === 'array') {
    const items = typeText(schema.items, indent, seen)
    return 'list of ' + (items.includes(' | ') ? '(' + items + ')' : items) + limits(schema, 'Items')
  }
  if (schema.type === 'object' || schema.properties) return objectText(schema, indent, seen)
  if (schema.type === 'string') return (schema.format ?? 'string') + limits(schema, 'Length')
  return schema.type === undefined ? 'anything' : schema.type + range(schema)
}

function objectText(schema, indent, seen) {
  const inner = indent + '  '
  const lines = Object.entries(schema.properties ?? {}).map(([name, property]) => {
    const mark = (schema.required ?? []).includes(name) ? '' : '?'
    const about = resolve(property).description
    return inner + name + mark + ': ' + typeText(property, inner, seen) + (about ? '  // ' + about : '')
  })
  if (schema.additionalProperties && schema.additionalProperties !== true) {
    lines.push(inner + '[name]: ' + typeText(schema.additionalProperties, inner, seen))
  }
  return lines.length === 0 ? 'object' : '{\n' + lines.join('\n') + '\n' + indent + '}'
}

function limits(schema, what) {
  const least = schema['min' + what]
  const most = schema['max' + what]
  if (least === undefined && most === undefined) return ''
  return ' (' + [least === undefined ? '' : 'at least ' + least, most === undefined ? '' : 'at most ' + most]
    .filter((text) => text !== '').join(', ') + ')'
}

function range(schema) {
  const texts = [['minimum', '≥ '], ['exclusiveMinimum', '> '], ['maximum', '≤ '], ['exclusiveMaximum', '< ']]
    .filter(([name]) => Math.abs(schema[name]) < Number.MAX_SAFE_INTEGER).map(([name, mark]) => mark + schema[name])
  return texts.length === 0 ? '' : ' (' + texts.join(', ') + ')'
}

/** A value that a schema takes, as far as it is plain. */
function exampleOf(schema, depth) {
  if (typeof schema !== 'object' || schema === null || depth > MAX_DEPTH) return null
  const found = resolve(schema)
  if (Array.isArray(found.examples) && found.examples.length > 0) return found.examples[0]
  if (found.example !== undefined) return found.example
  if (found.default !== undefined) return found.default
  if (found.const !== undefined) return found.const
  if (Array.isArray(found.enum)) return found.enum[0]
  if (Array.isArray(found.allOf)) {
    const values = found.allOf.map((one) => exampleOf(one, depth + 1))
    return values.every((value) => typeof value === 'object') ? Object.assign({}, ...values) : values[0]
  }
  const choices = found.anyOf ?? found.oneOf
  if (Array.isArray(choices) && choices.length > 0) return exampleOf(choices[0], depth + 1)
  const type = Array.isArray(found.type) ? found.type[0] : found.type
  if (type === 'array') {
    const length = Math.min(found.minItems ?? (depth > 3 ? 0 : 1), 3)
    return Array.from({ length }, () => exampleOf(found.items ?? {}, depth + 1))
  }
  if (type === 'string') return exampleText(found)
  if (type === 'integer' || type === 'number') return exampleNumber(found)
  if (type === 'boolean') return false
  if (type === 'null') return null
  return exampleObject(found, depth)
}

function exampleObject(schema, depth) {
  const required = schema.required ?? []
  const entries = Object.entries(schema.properties ?? {}).filter(([name, property]) => {
    const { default: value, examples } = resolve(property)
    return required.includes(name) || value !== undefined || examples !== undefined
  })
  return Object.fromEntries(entries.map(([name, property]) => [name, exampleOf(property, depth + 1)]))
}

function exampleText(schema) {
  const formats = {
    'date-time': '2026-01-31T12:00:00Z', date: '2026-01-31', email: 'someone@example.com', uri: 'https://example.com/',
    uuid: '00000000-0000-4000-8000-000000000000',
  }
  const text = Object.hasOwn(formats, schema.format ?? '') ? formats[schema.format] : 'text'
  return text.padEnd(Math.min(schema.minLength ?? 0, 1000), 'x').slice(0, schema.maxLength ?? Infinity)
}

function exampleNumber(schema) {
  const least = schema.minimum ?? (schema.exclusiveMinimum === undefined ? undefined : schema.exclusiveMinimum + 1)
  if (least !== undefined && Math.abs(least) < Number.MAX_SAFE_INTEGER) return least
  return schema.maximum < 0 ? schema.maximum : 0
}

function field(label, control, about) {
  const id = 'field-' + String(++ids)
  control.setAttribute('id', id)
  const hint = about ? make('p', { class: 'faint', id: id + '-about' }, about) : undefined
  if (hint) control.setAttribute('aria-describedby', id + '-about')
  return make('div', { class: 'field' }, make('label', { for: id }, label), control, hint)
}

function choice(values) {
  const control = make('select')
  for (const value of values) control.append(make('option', { value }, value === '' ? '(none)' : value))
  control.value = values[0] ?? ''
  return control
}

const key = make('input', { type: 'password', autocomplete: 'off', spellcheck: 'false' })
let keyForm = choice([''])

function keyHeader() {
  const scheme = (api.components?.securitySchemes ?? {})[keyForm.value]
  if (!scheme || key.value === '') return []
  return scheme.type === 'http' ? [['authorization', 'Bearer ' + key.value]] : [[scheme.name, key.value]]
}

function parametersOf(operation) {
  return (operation.parameters ?? []).map(resolve)
}

function parameterList(parameters) {
  if (parameters.length === 0) return []
  const items = parameters.map((one) => make('li', {}, make('code', {}, one.name), ' in ' + one.in + ', ' +
    (one.required ? 'required' : 'optional') + ': ', make('code', {}, typeOf(one.schema)),
    one.description ? '. ' + one.description : ''))
  return [make('h3', {}, 'Parameters'), make('ul', { class: 'answers' }, ...items)]
}

function contentList(content) {
  return Object.entries(content ?? {}).flatMap(([type, media]) => {
    const about = resolve(media.schema).description
    return [make('p', { class: 'faint' }, type + (about ? ': ' + about : '')),
      make('pre', { tabindex: '0', 'aria-label': 'Schema' }, typeOf(media.schema))]
  })
}

function answerList(operation) {
  const items = Object.entries(operation.responses ?? {}).map(([status, response]) => {
    const found = resolve(response)
    const headers = Object.keys(found.headers ?? {})
    return make('li', {}, make('strong', {}, status), ' ' + (found.description ?? ''),
      headers.length === 0 ? undefined : make('p', { class: 'faint' }, 'Headers: ' + headers.join(', ')),
      ...contentList(found.content))
  })
  return [make('h3', {}, 'Answers'), make('ul', { class: 'answers' }, ...items)]
}

function acceptedTypes(operation) {
  const content = Object.entries(operation.responses ?? {}).find(([status]) => status.startsWith('2'))
  return content === undefined ? [] : Object.keys(resolve(content[1]).content ?? {})
}

function show(output, text) {
  if (output.textContent.length >= MAX_TEXT) return
  const next = output.textContent + text
  output.textContent = next.length < MAX_TEXT ? next : next.slice(0, MAX_TEXT) + '\n… (the rest is not shown)'
}

/** Shows a body: as it comes where it is a stream, else when it is there. */
async function showBody(response, output) {
  const type = response.headers.get('content-type') ?? ''
  if (/event-stream|ndjson/.test(type) && response.body) {
    const decoder = new TextDecoder()
    const reader = response.body.getReader()
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      show(output, decoder.decode(chunk.value, { stream: true }))
    }
    show(output, decoder.decode())
    return
  }
  const text = await response.text()
  let shown = text
  if (/json/.test(type)) {
    try {
      shown = JSON.stringify(JSON.parse(text), null, 2)
    } catch {
      // Shown as it came.
    }
  }
  show(output, shown)
}

function tryForm(method, path, operation, parameters) {
  const inputs = parameters.map((one) => {
    const values = one.schema?.enum
    const control = Array.isArray(values) ? choice(one.required ? values : ['', ...values]) : make('input', { type: 'text' })
    if (one.required) control.setAttribute('required', '')
    return { one, control, row: field(one.name + (one.required ? ' (required)' : ''), control) }
  })
  const media = (operation.requestBody?.content ?? {})['application/json']
  const body = media === undefined ? undefined : make('textarea', { spellcheck: 'false' })
  if (body) body.value = JSON.stringify(exampleOf(media.schema, 0), null, 2)
  const types = acceptedTypes(operation)
  const accept = types.length > 1 ? choice(types) : undefined
  const send = make('button', { type: 'submit' }, 'Send')
  const stop = make('button', { type: 'button' }, 'Stop')
  stop.disabled = true
  const status = make('p', { role: 'status' })
  const headers = make('pre', { tabindex: '0', 'aria-label': 'Headers of the answer' })
  const output = make('pre', { tabindex: '0', 'aria-label': 'Body of the answer' })
  headers.hidden = output.hidden = true
  let running

  async function run() {
    running?.abort()
    const controller = (running = new AbortController())
    const isCurrent = () => running === controller
    status.textContent = 'Waiting for the answer …'
    headers.textContent = output.textContent = ''
    headers.hidden = output.hidden = true
    stop.disabled = false
    const began = Date.now()
    try {
      const request = requestOf()
      const response = await fetch(request.url, { ...request.options, signal: controller.signal })
      if (!isCurrent()) return
      status.textContent = response.status + ' ' + response.statusText + ', after ' + (Date.now() - began) + ' ms'
      headers.textContent = [...response.headers].map(([name, value]) => name + ': ' + value).join('\n')
      headers.hidden = output.hidden = false
      await showBody(response, output)
    } catch (error) {
      if (isCurrent()) status.textContent += controller.signal.aborted ? ' Stopped.' : ' No answer: ' + error.message
    } finally {
      if (isCurrent()) stop.disabled = true
    }
  }

  function requestOf() {
    const sent = new Headers()
    if (operation.security === undefined || operation.security.length > 0) {
      for (const [name, value] of keyHeader()) sent.set(name, value)
    }
    if (accept) sent.set('accept', accept.value)
    if (body) sent.set('content-type', 'application/json')
    let at = path
    const query = new URLSearchParams()
    for (const { one, control } of inputs) {
      if (one.in === 'path') at = at.replace('{' + one.name + '}', () => encodeURIComponent(control.value))
      else if (control.value === '') continue
      else if (one.in === 'query') query.set(one.name, control.value)
      else sent.set(one.name, control.value)
    }
    const url = new URL(base.pathname + at.slice(1), base)
    url.search = query.toString()
    return { url, options: { method: method.toUpperCase(), headers: sent, body: body?.value } }
  }

  const form = make('form', {}, make('h3', {}, 'Try it'), ...inputs.map(({ row }) => row),
    body ? field('Body', body) : undefined, accept ? field('Accept', accept) : undefined, make('p', {}, send, stop))
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    void run()
  })
  stop.addEventListener('click', () => running?.abort())
  return [form, status, headers, output]
}

function route(method, path, operation) {
  const parameters = parametersOf(operation)
  const details = make('details', { class: 'route' + (operation.deprecated ? ' deprecated' : '') },
    make('summary', {}, make('span', { class: 'method ' + method }, method.toUpperCase()), ' ', make('code', {}, path), ' ',
      make('span', { class: 'faint' }, (operation.summary ?? '') + (operation.deprecated ? ' (deprecated)' : ''))))
  let isFilled = false
  details.addEventListener('toggle', () => {
    // Only what is looked at is built.
    if (isFilled || !details.open) return
    isFilled = true
    const body = operation.requestBody
    details.append(make('div', {}, operation.description ? make('p', {}, operation.description) : undefined,
      ...parameterList(parameters),
      ...(body ? [make('h3', {}, 'Body'), make('p', {}, body.description ?? ''), ...contentList(body.content)] : []),
      ...answerList(operation), ...tryForm(method, path, operation, parameters)))
  })
  return details
}

function render() {
  const schemes = Object.keys(api.components?.securitySchemes ?? {})
  const about = document.getElementById('about')
  about.append(make('p', {}, 'Version ' + (api.info?.version ?? '')), make('p', {}, api.info?.description ?? ''))
  if (schemes.length > 0) {
    keyForm = choice(schemes)
    about.append(field('Key', key, 'Stays in this page, and goes with the requests that need one.'),
      field('Send the key as', keyForm))
  }
  const links = make('ul')
  const sections = (api.tags ?? []).flatMap((tag, position) => {
    const routes = Object.entries(api.paths ?? {}).flatMap(([path, item]) => Object.entries(item)
      .filter(([, operation]) => (operation.tags ?? []).includes(tag.name))
      .map(([method, operation]) => route(method, path, operation)))
    if (routes.length === 0) return []
    const id = 'tag-' + String(position)
    links.append(make('li', {}, make('a', { href: '#' + id }, tag.name)))
    return [make('section', { 'aria-labelledby': id }, make('h2', { id, tabindex: '-1' }, tag.name),
      make('p', { class: 'faint' }, tag.description ?? ''), ...routes)]
  })
  root.replaceChildren(make('nav', { 'aria-label': 'Groups of routes' }, links), ...sections)
}

async function load() {
  try {
    const response = await fetch(documentUrl)
    if (!response.ok) throw new Error('status ' + response.status)
    api = await response.json()
    render()
  } catch (error) {
    root.replaceChildren(make('p', { role: 'alert', class: 'error' },
      'The description of the service could not be read from ' + documentUrl.pathname + ': ' + error.message +
      '. Load the page again.'))
  }
}

void load()
})()
`
