import { script } from '../script.ts'
import type { Script } from '../script.ts'
import { NOW, ONCE, PUT, WAKE } from './shared.ts'

/**
 * Adds messages to a stream in their order: several times as fast as a command for each.
 *
 * KEYS: queue. ARGV: most entries to keep (`''` = all), then per message its body and its id (`''` = the body tells).
 */
export const ADD_ENTRIES: Script = script(`
local queue, maxlen = KEYS[1], ARGV[1]
for i = 2, #ARGV, 2 do
  if maxlen ~= '' then
    redis.call('XADD', queue, 'MAXLEN', '~', maxlen, '*', 'data', ARGV[i])
  elseif ARGV[i + 1] == '' then
    redis.call('XADD', queue, '*', 'data', ARGV[i])
  else
    redis.call('XADD', queue, '*', 'data', ARGV[i], 'id', ARGV[i + 1])
  end
end
return (#ARGV - 1) / 2`)

/**
 * Sends messages of which some have a time or a priority.
 *
 * KEYS: queue, leases, wake, delayed, priority, sequence. ARGV: group, then per message milliseconds since the epoch
 * (`''` = now), priority, id (`''` = the body tells), body.
 */
export const SEND_TIMED: Script = script(
  NOW,
  WAKE,
  PUT,
  `
local to = { group = ARGV[1], queue = KEYS[1], leases = KEYS[2], wake = KEYS[3], delayed = KEYS[4], priority = KEYS[5], sequence = KEYS[6] }
local now = now_ms()
for i = 2, #ARGV, 4 do
  put_when(to, ARGV[i + 3], ARGV[i + 2], tonumber(ARGV[i + 1]), tonumber(ARGV[i]), now)
end
return (#ARGV - 1) / 4`,
)

/**
 * Sends messages of which some are sent once.
 *
 * KEYS: as above, then the keys under which that is remembered. ARGV: group, most entries to keep (`''` = all), then per
 * message as above, the time to remember (`''` = it is just sent), and how long.
 */
export const SEND_ONCE: Script = script(
  NOW,
  WAKE,
  PUT,
  ONCE,
  `
local to = { group = ARGV[1], queue = KEYS[1], leases = KEYS[2], wake = KEYS[3], delayed = KEYS[4], priority = KEYS[5], sequence = KEYS[6] }
-- Nothing is rolled back: what is no stream must fail before the first write.
redis.call('XLEN', to.queue)
local now, is_wanted = now_ms(), once_from(7)
for i = 3, #ARGV, 6 do
  if is_wanted(ARGV[i + 4], ARGV[i + 5]) then
    put_when(to, ARGV[i + 3], ARGV[i + 2], tonumber(ARGV[i + 1]), tonumber(ARGV[i]), now)
  end
end
if ARGV[2] ~= '' then redis.call('XTRIM', to.queue, 'MAXLEN', '~', ARGV[2]) end
return 1`,
)
