import { script } from '../script.ts'
import type { Script } from '../script.ts'
import { NAMED, RENEW } from './leases.ts'
import { NOW, PARK } from './shared.ts'

/** Ends a session: everything it held can be delivered to others at once. */
const END_SESSION = `
local function end_session(keys, group, consumer, less)
  redis.call('ZREM', keys.leases, consumer)
  local count = park_all(keys.queue, group, consumer, less) + park_all(keys.taken, group, consumer, less)
  drop_consumer({ keys.queue, keys.taken }, group, consumer)
  redis.pcall('XGROUP', 'DELCONSUMER', keys.wake, group, consumer)
  if count > 0 then wake_all(keys.wake, keys.leases) end
  return count
end`

/**
 * One heartbeat of a worker on one queue: renews its lease, keeps its running messages from looking idle to Python's
 * workers, and ends the sessions of those that are gone.
 *
 * KEYS: queue, taken, wake, leases, epoch, beat, Taskiq's autoclaim lock. ARGV: group, consumer, milliseconds of the lease,
 * epoch of the session, milliseconds after which messages of foreign consumers are taken over (`''` = never).
 *
 * Returns { `ok`, `lost` or `flushed`, then a list of the messages that were held for a while, each as `q` or `t` and the
 * id, if there are any, then consumers that were ended and how many messages each had held }. `flushed`: Redis lost its
 * data, nobody took anything over.
 */
export const BEAT: Script = script(
  NOW,
  RENEW,
  PARK,
  END_SESSION,
  `
local keys = {
  queue = KEYS[1], taken = KEYS[2], wake = KEYS[3], leases = KEYS[4], epoch = KEYS[5], beat = KEYS[6],
}
local group, consumer, lease, idle = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5])
local now = now_ms()
local state = renew(keys, { consumer = consumer, lease = lease, epoch = ARGV[4] }, now)
if state ~= 'ok' then return { state } end
local renewed = {}
for source, stream in pairs({ q = keys.queue, t = keys.taken }) do
  local old = redis.pcall('XPENDING', stream, group, 'IDLE', math.floor(lease / 5), '-', '+', 1000, consumer)
  if not old.err then
    for _, entry in ipairs(old) do
      redis.call('XCLAIM', stream, group, consumer, 0, entry[1], 'JUSTID')
      renewed[#renewed + 1] = source .. entry[1]
    end
  end
end

local report = #renewed > 0 and { 'ok', renewed } or { 'ok' }
local function finish(other)
  report[#report + 1] = other
  report[#report + 1] = end_session(keys, group, other, 0)
end
for _, other in ipairs(redis.call('ZRANGEBYSCORE', keys.leases, '-inf', now)) do finish(other) end

local consumers = redis.pcall('XINFO', 'CONSUMERS', keys.queue, group)
if consumers.err then return report end
for _, info in ipairs(consumers) do
  local facts = {}
  for i = 1, #info, 2 do facts[info[i]] = info[i + 1] end
  if facts.name ~= PARKED and not redis.call('ZSCORE', keys.leases, facts.name) then
    if string.sub(facts.name, 1, 4) == 'kiq:' then
      -- A session that is not in the list any more.
      if facts.idle > lease then finish(facts.name) end
    elseif facts.pending == 0 and facts.idle > 86400000 then
      redis.call('XGROUP', 'DELCONSUMER', keys.queue, group, facts.name)
    end
  end
end
-- Taskiq's rule for its own workers: who holds the lock does it, and until then nobody else.
if idle and redis.call('EXISTS', KEYS[7]) == 0 then
  local reply = redis.call('XAUTOCLAIM', keys.queue, group, PARKED, idle, '0-0', 'COUNT', 100, 'JUSTID')
  local claimed = 0
  for _ in ipairs(reply[2]) do claimed = claimed + 1 end
  if claimed > 0 then
    wake_all(keys.wake, keys.leases)
    report[#report + 1] = ''
    report[#report + 1] = claimed
  end
end
return report`,
)

/**
 * Ends the sessions whose consumer begins so. KEYS: queue, taken, wake, leases. ARGV: group, beginning of the name, see
 * `NAMED`, deliveries to take off each message (1 = they were not tried). Returns how many messages others can have.
 */
export const END_SESSIONS: Script = script(
  PARK,
  NAMED,
  END_SESSION,
  `
local keys = { queue = KEYS[1], taken = KEYS[2], wake = KEYS[3], leases = KEYS[4] }
local group, beginning, less = ARGV[1], ARGV[2], tonumber(ARGV[3])
local count = 0
for _, consumer in ipairs(named(keys.leases, beginning)) do
  count = count + end_session(keys, group, consumer, less)
end
return count`,
)

/**
 * Hands back messages of a session that nobody knows of: the answer that brought them was lost.
 *
 * KEYS: queue, taken, wake, leases. ARGV: group, consumer, then the ids it does know, each after `q` or `t`.
 */
export const PARK_UNKNOWN: Script = script(
  PARK,
  `
local group, consumer = ARGV[1], ARGV[2]
local known = {}
for i = 3, #ARGV, 2 do known[ARGV[i] .. ARGV[i + 1]] = true end
local count = 0
for source, stream in pairs({ q = KEYS[1], t = KEYS[2] }) do
  local from = '-'
  while true do
    local pending = redis.pcall('XPENDING', stream, group, from, '+', 1000, consumer)
    if pending.err or #pending == 0 then break end
    for _, entry in ipairs(pending) do
      if not known[source .. entry[1]] then
        park(stream, group, entry[1], math.max(entry[4] - 1, 0))
        count = count + 1
      end
      from = '(' .. entry[1]
    end
  end
end
if count > 0 then wake_all(KEYS[3], KEYS[4]) end
return count`,
)

/**
 * Hands back messages of a session that are lost on their way to it.
 *
 * KEYS: queue, taken, wake, leases. ARGV: group, consumer, then the ids, each after `q` or `t`. Returns how many.
 */
export const PARK_LOST: Script = script(
  PARK,
  `
local group, consumer = ARGV[1], ARGV[2]
local streams = { q = KEYS[1], t = KEYS[2] }
local count = 0
for i = 3, #ARGV, 2 do
  local stream, id = streams[ARGV[i]], ARGV[i + 1]
  local pending = redis.pcall('XPENDING', stream, group, id, id, 1, consumer)
  if not pending.err and #pending > 0 then
    park(stream, group, id, math.max(pending[1][4] - 1, 0))
    count = count + 1
  end
end
if count > 0 then wake_all(KEYS[3], KEYS[4]) end
return count`,
)
