import { script } from '../script.ts'
import type { Script } from '../script.ts'
import { ONCE } from './shared.ts'

/**
 * Publishes messages in their order: in a cluster all by one node, which `PUBLISH` alone would not.
 *
 * KEYS: channel. ARGV: the messages.
 */
export const PUBLISH_ALL: Script = script(`
for _, body in ipairs(ARGV) do redis.call('PUBLISH', KEYS[1], body) end
return #ARGV`)

/**
 * Publishes messages of which some are sent once.
 *
 * KEYS: channel, then the keys under which that is remembered. ARGV: per message its body, the time to remember (`''` =
 * it is just sent), and how long.
 */
export const PUBLISH_ONCE: Script = script(
  ONCE,
  `
local is_wanted = once_from(2)
for i = 1, #ARGV, 3 do
  if is_wanted(ARGV[i + 1], ARGV[i + 2]) then redis.call('PUBLISH', KEYS[1], ARGV[i]) end
end
return 1`,
)
