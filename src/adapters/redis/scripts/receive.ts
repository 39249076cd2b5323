import { script } from '../script.ts'
import type { Script } from '../script.ts'
import { NOW, PARK, PARSE, PROMOTE, PUT, WAKE } from './shared.ts'

/**
 * Begins, or begins again, the session of a worker on a queue; creates the consumer groups.
 *
 * KEYS: queue, taken, wake, leases, epoch. ARGV: group, consumer, milliseconds of the lease, random text for the epoch, id
 * from which a new group reads. Returns the epoch.
 */
export const REGISTER: Script = script(
  NOW,
  `
local queue, taken, wake_key, leases, epoch = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local group, consumer, lease, random, start = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
for _, pair in ipairs({ { queue, start }, { taken, '0' }, { wake_key, '0' } }) do
  local reply = redis.pcall('XGROUP', 'CREATE', pair[1], group, pair[2], 'MKSTREAM')
  if type(reply) == 'table' and reply.err and not string.find(reply.err, 'BUSYGROUP', 1, true) then return reply end
end
redis.call('SET', epoch, random, 'NX')
redis.call('ZADD', leases, now_ms() + math.floor(lease * 0.8), consumer)
return redis.call('GET', epoch)`,
)

/**
 * Takes up to so many messages: what was handed back first, then higher priorities, the queue, lower priorities.
 *
 * KEYS: queue, taken, wake, leases, delayed, priority, sequence. ARGV: group, consumer, most messages, ids of read tokens
 * of `wake`.
 *
 * Returns `-1` when the session is over; else { milliseconds until the next delayed message or -1, entries of `queue`
 * delivered again, their attempts, the same two for `taken`, new entries of higher priority, of `queue`, of lower }.
 */
export const CLAIM: Script = script(
  NOW,
  WAKE,
  PUT,
  PARSE,
  PROMOTE,
  PARK,
  `
local queue, taken, wake_key, leases = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local to = { group = ARGV[1], queue = queue, leases = leases, wake = wake_key, delayed = KEYS[5], priority = KEYS[6], sequence = KEYS[7] }
local group, consumer, room = ARGV[1], ARGV[2], tonumber(ARGV[3])
if not redis.call('ZSCORE', leases, consumer) then return -1 end
if #ARGV > 3 then
  redis.call('XACK', wake_key, group, unpack(ARGV, 4))
  redis.call('XDEL', wake_key, unpack(ARGV, 4))
end

local now, wait = now_ms(), -1
local first = redis.call('ZRANGE', to.delayed, 0, 0, 'WITHSCORES')
if #first > 0 then
  if tonumber(first[2]) <= now then
    promote(to, now)
    first = redis.call('ZRANGE', to.delayed, 0, 0, 'WITHSCORES')
  end
  if #first > 0 then wait = math.max(tonumber(first[2]) - now, 0) end
end

local function again(stream)
  local entries, attempts = {}, {}
  if room <= 0 then return entries, attempts end
  local pending = redis.call('XPENDING', stream, group, '-', '+', room, PARKED)
  for _, entry in ipairs(pending) do
    local claimed = redis.call('XCLAIM', stream, group, consumer, 0, entry[1])
    if claimed[1] then
      entries[#entries + 1] = claimed[1]
      attempts[#attempts + 1] = entry[4] + 1
    else
      -- Deleted from the stream while it was pending: nothing is left to deliver.
      redis.call('XACK', stream, group, entry[1])
    end
  end
  room = room - #entries
  return entries, attempts
end

local function fresh(stream)
  if room <= 0 then return {} end
  local reply = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', room, 'STREAMS', stream, '>')
  if not reply then return {} end
  local entries = reply[1][2]
  room = room - #entries
  return entries
end

local function take(low, high)
  if room <= 0 then return end
  local members = redis.call('ZRANGEBYSCORE', to.priority, low, high, 'LIMIT', 0, room)
  for _, member in ipairs(members) do
    local body, id = parse_waiting(member)
    add_entry(taken, body, id)
    redis.call('ZREM', to.priority, member)
  end
end

local old, old_attempts = again(queue)
local old_taken, old_taken_attempts = again(taken)
local above, below = {}, {}
local prioritized = redis.call('ZCARD', to.priority) > 0
if prioritized then
  take('-inf', '(0')
  above = fresh(taken)
end
local new = fresh(queue)
if prioritized then
  take('(0', '+inf')
  below = fresh(taken)
end
return { wait, old, old_attempts, old_taken, old_taken_attempts, above, new, below }`,
)

/**
 * Moves what is due. KEYS: queue, leases, wake, delayed, priority, sequence, beat. ARGV: group.
 *
 * What waits by priority goes to the queue as well where no worker of ours lives, and either one of Python's does or ours
 * have been away for ten minutes. Returns the milliseconds until there is something to do again, or -1.
 */
export const PROMOTE_DUE: Script = script(
  NOW,
  WAKE,
  PUT,
  PARSE,
  PROMOTE,
  `
local to = { group = ARGV[1], queue = KEYS[1], leases = KEYS[2], wake = KEYS[3], delayed = KEYS[4], priority = KEYS[5], sequence = KEYS[6] }
local now = now_ms()
promote(to, now)
local waits = redis.call('ZCARD', to.priority) > 0 and redis.call('ZCOUNT', to.leases, now, '+inf') == 0
if waits then
  -- A worker of Python that has had no message yet is not to be seen. So it counts, too, that none of ours was there lately.
  local last = tonumber(redis.call('GET', KEYS[7]) or 0)
  if now - last > 600000 or only_python_serves(to, now) then
    for _, member in ipairs(redis.call('ZRANGE', to.priority, 0, 999)) do
      local body, id = parse_waiting(member)
      add_entry(to.queue, body, id)
      redis.call('ZREM', to.priority, member)
    end
    waits = redis.call('ZCARD', to.priority) > 0
  end
end
local first = redis.call('ZRANGE', to.delayed, 0, 0, 'WITHSCORES')
local wait = #first == 0 and -1 or math.max(tonumber(first[2]) - now, 0)
if waits and (wait < 0 or wait > 1000) then wait = 1000 end
return wait`,
)
