/** A JSON Schema, draft 2020-12. `{}` allows anything. */
export interface JsonSchema {
  readonly [keyword: string]: unknown
}

/** A served model, for its description. */
export interface ModelDescription {
  /** Name under which the model is served. */
  readonly name: string
  /** Of one input, as it comes over HTTP. References in it are local: `#` and `#/$defs/…`. */
  readonly input: JsonSchema
  /** Of the fields of one output, without or with those of the envelope. */
  readonly output: JsonSchema
  /** Whether outputs can come in chunks, as events or lines. */
  readonly streams: boolean
}

/** A service, for its description. */
export interface ApiDescription {
  readonly title: string
  readonly version: string
  /** Header that may carry a key. */
  readonly authHeader: string
  /** Whether requests need a key. */
  readonly hasKeys: boolean
  /** Longest body, in bytes. */
  readonly maxPayloadBytes: number
  /** Longest deadline that a request can ask for, in seconds. */
  readonly requestTimeoutSeconds: number
  readonly models: readonly ModelDescription[]
}

/** A reference to a component of the same document. */
export interface Reference {
  readonly $ref: string
}

export interface MediaType {
  readonly schema: JsonSchema
}

export interface Parameter {
  readonly name: string
  readonly in: 'query' | 'path' | 'header'
  readonly description: string
  readonly required: boolean
  readonly schema: JsonSchema
}

export interface HeaderObject {
  readonly description: string
  readonly schema: JsonSchema
}

export interface ResponseObject {
  readonly description: string
  readonly headers: Readonly<Record<string, HeaderObject | Reference>>
  readonly content?: Readonly<Record<string, MediaType>>
}

export interface RequestBody {
  readonly description: string
  readonly required: true
  readonly content: Readonly<Record<string, MediaType>>
}

/** Names of security schemes, each with its scopes: none here. */
export type SecurityRequirement = Readonly<Record<string, readonly string[]>>

export interface Operation {
  readonly operationId: string
  readonly tags: readonly string[]
  readonly summary: string
  readonly description?: string
  readonly deprecated?: true
  readonly security?: readonly SecurityRequirement[]
  readonly parameters: readonly (Parameter | Reference)[]
  readonly requestBody?: RequestBody
  /** By status. */
  readonly responses: Readonly<Record<string, ResponseObject | Reference>>
}

export interface PathItem {
  readonly get?: Operation
  readonly post?: Operation
  readonly delete?: Operation
}

export type Paths = Readonly<Record<string, PathItem>>

export interface Components {
  readonly schemas: Readonly<Record<string, JsonSchema>>
  readonly responses: Readonly<Record<string, ResponseObject>>
  readonly parameters: Readonly<Record<string, Parameter>>
  readonly headers: Readonly<Record<string, HeaderObject>>
  readonly securitySchemes?: Readonly<Record<string, Readonly<Record<string, string>>>>
}

/** An OpenAPI document, version 3.1.1. Plain JSON. */
export interface OpenApiDocument {
  readonly openapi: '3.1.1'
  readonly info: { readonly title: string; readonly version: string; readonly description: string }
  readonly jsonSchemaDialect: string
  readonly tags: readonly { readonly name: string; readonly description: string }[]
  readonly security: readonly SecurityRequirement[]
  readonly paths: Paths
  readonly components: Components
}
