import { script } from '../script.ts'
import type { Script } from '../script.ts'
import { LIST, PROMOTE_TO_LIST, RETURN_INCOMING } from './list-shared.ts'
import { NOW, ONCE, PARSE } from './shared.ts'

/**
 * Sends messages of which some have a time, or a body that does not tell its task.
 *
 * KEYS: queue, delayed, sequence, attempts, ids. ARGV: per message milliseconds since the epoch (`''` = now), id (`''` =
 * the body tells), body.
 */
export const SEND_TO_LIST: Script = script(
  NOW,
  LIST,
  `
local to = { queue = KEYS[1], delayed = KEYS[2], sequence = KEYS[3], attempts = KEYS[4], ids = KEYS[5] }
local now = now_ms()
for i = 1, #ARGV, 3 do
  put_when(to, ARGV[i + 2], ARGV[i + 1], tonumber(ARGV[i]), now)
end
return #ARGV / 3`,
)

/**
 * Sends messages of which some are sent once.
 *
 * KEYS: as above, then the keys under which that is remembered. ARGV: per message as above, the time to remember (`''` =
 * it is just sent), and how long.
 */
export const SEND_ONCE_TO_LIST: Script = script(
  NOW,
  LIST,
  ONCE,
  `
local to = { queue = KEYS[1], delayed = KEYS[2], sequence = KEYS[3], attempts = KEYS[4], ids = KEYS[5] }
-- Nothing is rolled back: what is no list must fail before the first write.
redis.call('LLEN', to.queue)
local now, is_wanted = now_ms(), once_from(6)
for i = 1, #ARGV, 5 do
  if is_wanted(ARGV[i + 3], ARGV[i + 4]) then
    put_when(to, ARGV[i + 2], ARGV[i + 1], tonumber(ARGV[i]), now)
  end
end
return 1`,
)

/**
 * Takes up to so many messages into the hash of a session, the oldest first.
 *
 * KEYS: queue, delayed, sequence, attempts, ids, leases, incoming, hash of the session. ARGV: consumer, most messages.
 *
 * Returns `-1` when the session is over; else { milliseconds until the next delayed message or -1, messages that the
 * session holds now, then field and body of each that is new }.
 */
export const CLAIM_FROM_LIST: Script = script(
  NOW,
  PARSE,
  LIST,
  PROMOTE_TO_LIST,
  `
local to = { queue = KEYS[1], delayed = KEYS[2], sequence = KEYS[3], attempts = KEYS[4], ids = KEYS[5] }
local incoming, held = KEYS[7], KEYS[8]
if not redis.call('ZSCORE', KEYS[6], ARGV[1]) then return -1 end

local now, wait = now_ms(), -1
local first = redis.call('ZRANGE', to.delayed, 0, 0, 'WITHSCORES')
if #first > 0 and tonumber(first[2]) <= now then
  if promote(to, now) then wait = 1000 end
  first = redis.call('ZRANGE', to.delayed, 0, 0, 'WITHSCORES')
end
if #first > 0 then wait = math.max(tonumber(first[2]) - now, wait, 0) end

local bodies, room = {}, tonumber(ARGV[2])
for _, from in ipairs({ incoming, to.queue }) do
  if #bodies < room then
    local some = redis.call('RPOP', from, room - #bodies)
    if some then
      for _, body in ipairs(some) do bodies[#bodies + 1] = body end
    end
  end
end
local reply = { wait, 0 }
if #bodies > 0 then
  local has_attempts = redis.call('EXISTS', to.attempts) == 1
  local has_ids = redis.call('EXISTS', to.ids) == 1
  local token = redis.call('INCRBY', to.sequence, #bodies) - #bodies
  for _, body in ipairs(bodies) do
    token = token + 1
    local attempt, id = 1, ''
    if has_attempts or has_ids then
      local sha = redis.sha1hex(body)
      if has_attempts then attempt = taken_attempts(to, sha) + 1 end
      if has_ids then id = taken_id(to, sha) end
    end
    reply[#reply + 1] = string.format('%.0f:%d:', token, attempt) .. id
    reply[#reply + 1] = body
  end
  for from = 3, #reply, 1000 do redis.call('HSET', held, unpack(reply, from, math.min(from + 999, #reply))) end
  -- Nothing waits that these could be about, unless a worker of Python took it.
  if has_attempts or has_ids then
    if redis.call('EXISTS', to.queue, incoming) == 0 then redis.call('DEL', to.attempts, to.ids) end
  end
end
reply[2] = redis.call('HLEN', held)
return reply`,
)

/**
 * Moves what is due. KEYS: queue, delayed, sequence, attempts, ids. Returns the milliseconds until the next delayed
 * message, or -1.
 */
export const PROMOTE_DUE_TO_LIST: Script = script(
  NOW,
  PARSE,
  LIST,
  PROMOTE_TO_LIST,
  `
local to = { queue = KEYS[1], delayed = KEYS[2], sequence = KEYS[3], attempts = KEYS[4], ids = KEYS[5] }
local now = now_ms()
local failure = promote(to, now)
if failure then return failure end
local first = redis.call('ZRANGE', to.delayed, 0, 0, 'WITHSCORES')
if #first == 0 then return -1 end
return math.max(tonumber(first[2]) - now, 0)`,
)

/** Lets others have what a worker took out of the queue while it waited, and does not want now. KEYS: queue, incoming. */
export const RETURN_TO_LIST: Script = script(
  RETURN_INCOMING,
  `
return_incoming(KEYS[1], KEYS[2])
return 1`,
)
