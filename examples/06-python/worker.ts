import { createHash } from 'node:crypto'

import { RedisStreamBroker } from 'kiq/redis'

const url = process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379'

/** Executes what producer.py sends. */
export const broker = new RedisStreamBroker({ url, queueName: 'typescript' })

const PNG = '89504e470d0a1a0a'

/** Size and digest of a PNG. In Base64, as only bytes that are text travel. */
export const describeImage = broker.task(
  'image:describe',
  (base64: string) => {
    const bytes = Buffer.from(base64, 'base64')
    if (bytes.toString('hex', 0, 8) !== PNG) throw new TypeError('this is no PNG')
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20), sha256 }
  },
  { params: ['base64'] },
)
