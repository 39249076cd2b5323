import { script } from '../script.ts'
import type { Script } from '../script.ts'

/**
 * Publishes messages in their order: in a cluster all by one node, which `PUBLISH` alone would not.
 *
 * KEYS: channel. ARGV: the messages.
 */
export const PUBLISH_ALL: Script = script(`
for _, body in ipairs(ARGV) do redis.call('PUBLISH', KEYS[1], body) end
return #ARGV`)
