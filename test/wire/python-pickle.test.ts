import { spawnSync } from 'node:child_process'

import fc from 'fast-check'
import { expect, it } from 'vitest'

import { isPickle, PickleSerializer } from '../../src/serializers/pickle.ts'
import { OBJECT_OPS, OP, UNUSED_OPS } from '../../src/serializers/pickle-format.ts'
import { engineSuite } from '../support/engine-suite.ts'

const pickle = new PickleSerializer()

/** A value with its Python type, as JSON carries it exactly. */
type Described = readonly [type: string, content?: unknown]

function describeValue(value: unknown): Described {
  if (value === null || value === undefined) return ['none']
  if (typeof value === 'boolean') return ['bool', value]
  if (typeof value === 'bigint') return ['int', value.toString(16)]
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) return ['int', value.toString(16)]
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleBE(value)
    return ['float', bytes.toString('hex')]
  }
  if (typeof value === 'string') return ['str', Buffer.from(value, 'utf16le').toString('hex')]
  if (value instanceof Uint8Array) return ['bytes', Buffer.from(value).toString('hex')]
  if (Array.isArray(value)) return ['list', value.map(describeValue)]
  return ['dict', Object.entries(value).map(([key, item]) => [describeValue(key), describeValue(item)])]
}

const COMMON = `
import base64, json, pickle, pickletools, struct, sys
sys.setrecursionlimit(20000)
given = json.load(sys.stdin)
`

const WRITE = `${COMMON}
def build(described):
    kind, content = (described + [None])[:2]
    if kind == 'none': return None
    if kind == 'bool': return content
    if kind == 'int': return int(content, 16)
    if kind == 'float': return struct.unpack('>d', bytes.fromhex(content))[0]
    if kind == 'str': return bytes.fromhex(content).decode('utf-16-le', 'surrogatepass')
    if kind == 'bytes': return bytes.fromhex(content)
    if kind == 'list': return [build(item) for item in content]
    return {build(key): build(item) for key, item in content}

def written(value, protocols):
    # The pickler in C and the one in Python differ in what they remember.
    return [base64.b64encode(dumps(value, protocol)).decode() for protocol in protocols
            for dumps in (pickle.dumps, pickle._dumps)]

json.dump({
    'values': [written(build(value), given['protocols']) for value in given['values']],
    'expressions': [written(eval(text), given['protocols']) for text in given['expressions']],
    'refused': [written(eval(text), [protocol])[0] for text, protocol in given['refused']],
    'opcodes': [[ord(opcode.code), opcode.name] for opcode in pickletools.opcodes],
}, sys.stdout)
`

const READ = `${COMMON}
def describe(value):
    if value is None: return ['none']
    if isinstance(value, bool): return ['bool', value]
    if isinstance(value, int): return ['int', format(value, 'x')]
    if isinstance(value, float): return ['float', struct.pack('>d', value).hex()]
    if isinstance(value, str): return ['str', value.encode('utf-16-le', 'surrogatepass').hex()]
    if isinstance(value, bytes): return ['bytes', value.hex()]
    if isinstance(value, list): return ['list', [describe(item) for item in value]]
    if isinstance(value, dict): return ['dict', [[describe(key), describe(item)] for key, item in value.items()]]
    return ['other', repr(value)]

bodies = [base64.b64decode(body) for body in given]
json.dump({
    'values': [[describe(pickle.loads(body)), describe(pickle._loads(body))] for body in bodies],
    'opcodes': sorted({opcode.name for body in bodies for opcode, _, _ in pickletools.genops(body)}),
}, sys.stdout)
`

function python(program: string, given: unknown): unknown {
  const { status, stdout, stderr } = spawnSync('python3', ['-c', program], {
    input: JSON.stringify(given),
    encoding: 'utf8',
    maxBuffer: 2 ** 29,
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return JSON.parse(stdout)
}

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.array(fc.constantFrom(0x41, 0xe9, 0x20ac, 0xd83d, 0xde00, 0xfffd)).map((units) => String.fromCharCode(...units)),
)
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small' },
    fc.oneof(fc.constantFrom(null, true, false), fc.integer(), fc.maxSafeInteger(), fc.double({ noNaN: true }), text),
    fc.bigInt({ min: -(2n ** 2_100n), max: 2n ** 2_100n }).map((big) => (isSafe(big) ? Number(big) : big)),
    fc.array(tie('tree')),
    fc.dictionary(text, tie('tree'), { noNullPrototype: true }),
  ),
}))

function isSafe(big: bigint): boolean {
  return Number.isSafeInteger(Number(big))
}

const powers = [0n, 7n, 8n, 15n, 16n, 31n, 32n, 39n, 47n, 48n, 52n, 53n, 63n, 64n, 2_031n, 2_039n, 2_040n, 60_000n]

const VALUES: readonly unknown[] = [
  ...[null, true, false, '', [], {}, 0.5, -0, Infinity, -Infinity, 1e21, 5e-324, 2 ** 53, 'a\u0000b', 'é😀', '\udfff'],
  powers
    .flatMap((bits) => [2n ** bits - 1n, 2n ** bits, -(2n ** bits), -(2n ** bits) - 1n])
    .map((big) => (isSafe(big) ? Number(big) : big)),
  Array.from({ length: 2_500 }, (_, index) => index * 40),
  Object.fromEntries(Array.from({ length: 2_500 }, (_, index) => [`key ${index}`, [index, `${index % 300}`]])),
  ['x'.repeat(255), 'x'.repeat(256), 'ä'.repeat(100_000)],
  JSON.parse('{"__proto__": {"a": 1}, "constructor": null}'),
  ...fc.sample(tree, { numRuns: 400, seed: 20_260_801 }),
]

const shared = { a: ['shared'] }

/** What only Python can say, as its source → what it is here. */
const EXPRESSIONS: Readonly<Record<string, unknown>> = {
  '1.0': 1,
  "[float('nan'), 0.0, -0.0]": [NaN, 0, -0],
  '(1, (2,), (), (3, 4), (5, 6, 7), tuple(range(9)))': [1, [2], [], [3, 4], [5, 6, 7], [0, 1, 2, 3, 4, 5, 6, 7, 8]],
  "[['k%d' % i for i in range(300)] for _ in range(2)]": Array.from({ length: 2 }, () =>
    Array.from({ length: 300 }, (_, index) => `k${index}`),
  ),
  "(lambda d: [d, d, {'again': d}])({'a': ['shared']})": [shared, shared, { again: shared }],
  '(lambda t: [t, t])((1, 2, 3))': [
    [1, 2, 3],
    [1, 2, 3],
  ],
  "['y' * 70000] * 3 + ['z' * 70000]": ['y', 'y', 'y', 'z'].map((letter) => letter.repeat(70_000)),
  '[True] * 5000': Array.from({ length: 5_000 }, () => true),
  '10 ** 5000': 10n ** 5_000n,
  // Two characters, whose halves JavaScript joins to one, as it does in JSON.
  "'\\ud83d\\ude00'": '😀',
}

/** Python source and protocol → why it is refused. */
const REFUSED: readonly (readonly [source: string, protocol: number, why: RegExp])[] = [
  ["__import__('datetime').datetime(2030, 1, 1)", 4, /opcode STACK_GLOBAL/],
  ["__import__('datetime').datetime(2030, 1, 1)", 2, /opcode GLOBAL/],
  ["ValueError('boom')", 5, /opcode STACK_GLOBAL/],
  ["__import__('os').system", 4, /opcode STACK_GLOBAL/],
  ["b'bytes'", 2, /opcode GLOBAL/],
  ["bytearray(b'bytes')", 5, /opcode BYTEARRAY8/],
  ['{1, 2}', 4, /opcode EMPTY_SET/],
  ['frozenset([1])', 4, /opcode FROZENSET/],
  ['{1: 2}', 4, /a key of a dict is not text/],
  ["{('a', 'b'): 2}", 4, /a key of a dict is not text/],
  ['(lambda l: l.append(l) or l)([])', 4, /what contains itself cannot be read/],
  ['(lambda d: d.update(a=[d]) or d)({})', 5, /what contains itself cannot be read/],
  ['(lambda l: l.append((l,)) or l[0])([])', 4, /what contains itself cannot be read/],
  ['1', 0, /not with 80 and a protocol/],
  ['1', 1, /not with 80 and a protocol/],
]

const available = spawnSync('python3', ['--version']).status === 0
const engine = { missing: available ? undefined : 'python3 is not installed (Debian: apt-get install python3)' }

engineSuite('pickles of Python', [engine], () => {
  it('are read: what it writes with protocols 2 to 5, in C and in Python', () => {
    const written = python(WRITE, {
      protocols: [2, 3, 4, 5],
      values: VALUES.map(describeValue),
      expressions: Object.keys(EXPRESSIONS),
      refused: REFUSED.map(([source, protocol]) => [source, protocol]),
    }) as Record<'values' | 'expressions', string[][]> & { refused: string[]; opcodes: [number, string][] }

    const expected = [...VALUES, ...Object.values(EXPRESSIONS)]
    for (const [index, bodies] of [...written.values, ...written.expressions].entries()) {
      expect(bodies).toHaveLength(8)
      for (const body of bodies.map((base64) => Buffer.from(base64, 'base64'))) {
        expect(isPickle(body)).toBe(true)
        expect(describeValue(pickle.loadb(body))).toEqual(describeValue(expected[index]))
      }
    }
    for (const [index, [source, , why]] of REFUSED.entries()) {
      const body = Buffer.from(written.refused[index] ?? '', 'base64')
      const error = expect.objectContaining({
        code: 'KIQ_MESSAGE_UNDECODABLE',
        message: expect.stringMatching(why) as string,
      }) as Error
      expect(() => pickle.loadb(body), source).toThrow(error)
    }
    const ours = new Map<number, string>([...OBJECT_OPS, ...UNUSED_OPS])
    for (const [name, code] of Object.entries(OP)) ours.set(code, name)
    expect(written.opcodes.filter(([code, name]) => ours.get(code) !== name)).toEqual([])
    expect(ours.size).toBe(written.opcodes.length)
  }, 120_000)

  it('are not needed: it reads what we write as the same values of the same types', () => {
    const values = [...VALUES, NaN, undefined, [new Uint8Array([0, 255]), Buffer.alloc(300, 7)], 2n ** 8_000_000n]

    const read = python(
      READ,
      values.map((value) => Buffer.from(pickle.dumpb(value) as Uint8Array).toString('base64')),
    ) as { values: [Described, Described][]; opcodes: string[] }

    for (const [index, value] of values.entries()) {
      const expected = describeValue(value)
      expect(read.values[index]).toEqual([expected, expected])
    }
    expect(read.opcodes).toEqual(
      [
        ...[
          'APPENDS',
          'BINBYTES',
          'BINFLOAT',
          'BININT',
          'BININT1',
          'BININT2',
          'BINUNICODE',
          'EMPTY_DICT',
          'EMPTY_LIST',
        ],
        ...['LONG1', 'LONG4', 'MARK', 'NEWFALSE', 'NEWTRUE', 'NONE', 'PROTO', 'SETITEMS', 'STOP'],
      ].toSorted(),
    )
  }, 120_000)
})
