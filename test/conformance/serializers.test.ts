import { readFileSync } from 'node:fs'

import { JsonSerializer } from '../../src/index.ts'
import { CborSerializer, MsgPackSerializer, PickleSerializer } from '../../src/serializers/index.ts'
import { describeSerializer } from '../../src/testing/conformance/index.ts'
import type { SerializerVector } from '../../src/testing/conformance/index.ts'

interface Recorded {
  readonly message_hex: string
  /** Python was not asked for one in pickle. */
  readonly result_hex: string | null
}

const golden = JSON.parse(
  readFileSync(new URL('../fixtures/golden/_results_progress_serializers.json', import.meta.url), 'utf8'),
) as Record<'json' | 'msgpack' | 'cbor' | 'pickle', Recorded> & {
  readonly default_serializer_is_pickle_base64: string
}

/** The message and the result that Python recorded in each serializer. */
const MESSAGE = {
  task_id: 'tid',
  task_name: 'add',
  labels: { n: '1' },
  labels_types: { n: 2 },
  args: [1, 2.5, 'é', null, true],
  kwargs: { k: [1] },
}
const RESULT = {
  is_err: true,
  log: null,
  return_value: null,
  execution_time: 0.5,
  labels: {},
  error: {
    exc_type: 'ValueError',
    exc_message: ['boom', 1],
    exc_module: 'builtins',
    exc_cause: null,
    exc_context: null,
    exc_suppress_context: false,
  },
}

function vectorsOf({ message_hex: message, result_hex: result }: Recorded): readonly SerializerVector[] {
  const read = { hex: message, value: MESSAGE }
  return result === null ? [read] : [read, { hex: result, value: RESULT }]
}

describeSerializer({ name: 'JsonSerializer', create: () => new JsonSerializer(), vectors: vectorsOf(golden.json) })

describeSerializer({
  name: 'MsgPackSerializer',
  create: () => new MsgPackSerializer(),
  vectors: vectorsOf(golden.msgpack),
})

describeSerializer({ name: 'CborSerializer', create: () => new CborSerializer(), vectors: vectorsOf(golden.cbor) })

describeSerializer({
  name: 'PickleSerializer',
  create: () => new PickleSerializer(),
  vectors: [
    ...vectorsOf(golden.pickle),
    {
      hex: Buffer.from(golden.default_serializer_is_pickle_base64, 'base64').toString('hex'),
      value: {
        is_err: false,
        log: null,
        return_value: { x: 1 },
        execution_time: 0.12,
        labels: { a: 1 },
        error: null,
      },
    },
  ],
})
