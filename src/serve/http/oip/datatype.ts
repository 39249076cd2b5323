/** Datatypes of the Open Inference Protocol. */
export type Datatype =
  | 'BOOL'
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'UINT8'
  | 'UINT16'
  | 'UINT32'
  | 'UINT64'
  | 'FP16'
  | 'FP32'
  | 'FP64'
  | 'BYTES'

interface Rule {
  readonly fits: (value: unknown) => boolean
  /** What fits, for messages. */
  readonly wanted: string
}

const MAX_FP16 = 65_504
const MAX_FP32 = 3.4028234663852886e38

const RULES: ReadonlyMap<string, Rule> = new Map<Datatype, Rule>([
  ['BOOL', { fits: (value) => typeof value === 'boolean', wanted: 'true or false' }],
  ['INT8', integer(-128, 127)],
  ['INT16', integer(-32_768, 32_767)],
  ['INT32', integer(-2_147_483_648, 2_147_483_647)],
  // A JSON number beyond that has lost digits before it is looked at.
  ['INT64', integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)],
  ['UINT8', integer(0, 255)],
  ['UINT16', integer(0, 65_535)],
  ['UINT32', integer(0, 4_294_967_295)],
  ['UINT64', integer(0, Number.MAX_SAFE_INTEGER)],
  ['FP16', float(MAX_FP16)],
  ['FP32', float(MAX_FP32)],
  ['FP64', float(Number.MAX_VALUE)],
  ['BYTES', { fits: (value) => typeof value === 'string', wanted: 'text' }],
])

/** All of them, for messages. */
export const DATATYPES: string = [...RULES.keys()].join(', ')

/** The rule for the values of a datatype, or undefined when there is no such datatype. */
export function ruleOf(datatype: unknown): Rule | undefined {
  return typeof datatype === 'string' ? RULES.get(datatype) : undefined
}

function integer(least: number, most: number): Rule {
  return {
    fits: (value) => typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most,
    wanted: `a whole number from ${least} to ${most}`,
  }
}

function float(most: number): Rule {
  return {
    fits: (value) => typeof value === 'number' && Math.abs(value) <= most,
    wanted: most === Number.MAX_VALUE ? 'a number' : `a number from -${most} to ${most}`,
  }
}
