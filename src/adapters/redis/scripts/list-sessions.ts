import { script } from '../script.ts'
import type { Script } from '../script.ts'
import { NAMED, RENEW } from './leases.ts'
import { LIST, RETURN_INCOMING } from './list-shared.ts'
import { NOW } from './shared.ts'

/**
 * Ends a session on a list: what it held goes back to it. Returns how many messages, or nothing when the list does not
 * take them (something else lies at its key): then the session stays, to be ended later.
 */
const END_LIST_SESSION = `
local function end_list_session(keys, consumer, less)
  local held = redis.call('HGETALL', keys.held .. consumer)
  local messages = {}
  for i = 1, #held, 2 do
    local token, attempt, id = parse_held(held[i])
    messages[#messages + 1] = { token = token, attempts = attempt - less, id = id, body = held[i + 1] }
  end
  if put_back(keys, messages) then return nil end
  redis.call('DEL', keys.held .. consumer)
  redis.call('ZREM', keys.leases, consumer)
  return #messages
end`

/**
 * Begins, or begins again, the session of a worker on a list.
 *
 * KEYS: queue, leases, epoch, sequence, incoming. ARGV: consumer, milliseconds of the lease, random text for the epoch.
 * Returns the epoch.
 */
export const REGISTER_ON_LIST: Script = script(
  NOW,
  RETURN_INCOMING,
  `
local queue, leases, epoch, sequence = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- Something else at the key: better told now.
redis.call('LLEN', queue)
local now = now_ms()
redis.call('SET', epoch, ARGV[3], 'NX')
-- No token comes twice, not even after all data was lost.
if tonumber(redis.call('GET', sequence) or 0) < 1e15 then
  redis.call('SET', sequence, string.format('%.0f', now * 1000))
end
redis.call('ZADD', leases, now + math.floor(tonumber(ARGV[2]) * 0.8), ARGV[1])
return_incoming(queue, KEYS[5])
return redis.call('GET', epoch)`,
)

/**
 * One heartbeat of a worker on one list: renews its lease, and ends the sessions of those that are gone.
 *
 * KEYS: queue, leases, epoch, beat, incoming, attempts, ids, beginning of the hashes of sessions. ARGV: consumer,
 * milliseconds of the lease, epoch of the session.
 *
 * Returns the same as `BEAT`.
 */
export const BEAT_ON_LIST: Script = script(
  NOW,
  RENEW,
  LIST,
  RETURN_INCOMING,
  END_LIST_SESSION,
  `
local keys = {
  queue = KEYS[1], leases = KEYS[2], epoch = KEYS[3], beat = KEYS[4], attempts = KEYS[6], ids = KEYS[7], held = KEYS[8],
}
local now = now_ms()
local state = renew(keys, { consumer = ARGV[1], lease = tonumber(ARGV[2]), epoch = ARGV[3] }, now)
local report = { state }
if state ~= 'ok' then return report end
for _, other in ipairs(redis.call('ZRANGEBYSCORE', keys.leases, '-inf', now)) do
  local count = end_list_session(keys, other, 0)
  if count then
    report[#report + 1] = other
    report[#report + 1] = count
  end
end
return_incoming(keys.queue, KEYS[5])
return report`,
)

/**
 * Ends the sessions whose consumer begins so. KEYS: queue, leases, incoming, attempts, ids, beginning of the hashes of
 * sessions. ARGV: beginning of the name, see `NAMED`, deliveries to take off each message (1 = they were not tried).
 * Returns how many messages others can have.
 */
export const END_LIST_SESSIONS: Script = script(
  NAMED,
  LIST,
  RETURN_INCOMING,
  END_LIST_SESSION,
  `
local keys = { queue = KEYS[1], leases = KEYS[2], attempts = KEYS[4], ids = KEYS[5], held = KEYS[6] }
-- As in RENEW: what goes back takes no more memory than before.
redis.call('PERSIST', keys.leases)
local count = 0
for _, consumer in ipairs(named(keys.leases, ARGV[1])) do
  count = count + (end_list_session(keys, consumer, tonumber(ARGV[2])) or 0)
end
return_incoming(keys.queue, KEYS[3])
return count`,
)

/**
 * Puts back messages of a session that nobody knows of: the answer that brought them was lost.
 *
 * KEYS: queue, attempts, ids, hash of the session. ARGV: the fields it does know.
 */
export const RETURN_UNKNOWN: Script = script(
  LIST,
  `
local to = { queue = KEYS[1], attempts = KEYS[2], ids = KEYS[3] }
local known = {}
for _, field in ipairs(ARGV) do known[field] = true end
local messages = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[4])) do
  if not known[field] then
    local token, attempt, id = parse_held(field)
    messages[#messages + 1] = {
      token = token, attempts = attempt - 1, id = id, body = redis.call('HGET', KEYS[4], field), field = field,
    }
  end
end
local failure = put_back(to, messages)
if failure then return failure end
for _, message in ipairs(messages) do redis.call('HDEL', KEYS[4], message.field) end
return #messages`,
)
