import { script } from '../script.ts'
import type { Script } from '../script.ts'

/** Tells those who watch. Not `call`: a user whose ACL has no channels may change schedules all the same. */
const TELL = `
local function tell(channel)
  redis.pcall('PUBLISH', channel, '')
end`

/** Writes a schedule. KEYS: the record. ARGV: the record, channel. */
export const PUT_SCHEDULE: Script = script(
  TELL,
  `
redis.call('SET', KEYS[1], ARGV[1])
tell(ARGV[2])
return 1`,
)

/** Deletes a schedule. KEYS: the record. ARGV: channel, digest of the record that it has to be (`''` = any). */
export const DELETE_SCHEDULE: Script = script(
  TELL,
  `
if ARGV[2] ~= '' and redis.sha1hex(redis.call('GET', KEYS[1]) or '') ~= ARGV[2] then return 0 end
local deleted = redis.call('DEL', KEYS[1])
if deleted > 0 then tell(ARGV[1]) end
return deleted`,
)

/**
 * Puts a record in the place of another, and its id into one list alone; or deletes both.
 *
 * KEYS: the record, then every list that may hold its id, the last being the one that shall.
 * ARGV: the id; the digest of the record that the caller knows; channel; the new record, or nothing to delete it.
 * Returns the record that is there when the caller knows another one: then its list is not among the keys.
 */
export const REPLACE_SCHEDULE: Script = script(
  TELL,
  `
local known = redis.call('GET', KEYS[1])
if known and redis.sha1hex(known) ~= ARGV[2] then
  return known
end
-- Nothing is rolled back: what is no list must fail before the first write.
for i = 2, #KEYS do
  redis.call('LLEN', KEYS[i])
end
-- First, since a Redis that is out of memory refuses it, and only before other writes.
if ARGV[4] then
  redis.call('SET', KEYS[1], ARGV[4])
else
  redis.call('DEL', KEYS[1])
end
for i = 2, #KEYS do
  redis.call('LREM', KEYS[i], 0, ARGV[1])
end
if ARGV[4] then
  redis.call('RPUSH', KEYS[#KEYS], ARGV[1])
end
tell(ARGV[3])
return false`,
)

/** A digest of the records under these keys; what is no text counts as nothing. */
export const DIGEST_SCHEDULES: Script = script(`
local bodies = redis.call('MGET', unpack(KEYS))
for i, body in ipairs(bodies) do
  bodies[i] = body and redis.sha1hex(body) or '-'
end
return redis.sha1hex(table.concat(bodies, ' '))`)

/**
 * Takes the lead, or keeps it. KEYS: the lead. ARGV: holder, milliseconds. Returns 0, or the milliseconds that the lead of
 * another lasts.
 */
export const LEAD: Script = script(`
local holder = redis.call('GET', KEYS[1])
-- Not SET, which a Redis that is out of memory refuses: who leads shall go on.
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 0
end
local left = redis.call('PTTL', KEYS[1])
-- Without an expiry it was not written here, and would never end.
if holder and left >= 0 then return math.max(left, 1) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0`)

/** Gives the lead to others. KEYS: the lead, counter of changes. ARGV: holder, channel. */
export const RESIGN: Script = script(
  TELL,
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('INCR', KEYS[2])
tell(ARGV[2])
return 1`,
)

/**
 * Notes what was fired. KEYS: the lead, states, paused. ARGV: holder, then id and state of each schedule; `''` forgets it.
 * Returns whether the holder leads.
 */
export const SAVE_STATES: Script = script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[2], ARGV[i])
    redis.call('SREM', KEYS[3], ARGV[i])
  else
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  end
end
return 1`)

/** Pauses a schedule. KEYS: paused, counter of changes. ARGV: id, channel. */
export const PAUSE: Script = script(
  TELL,
  `
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('INCR', KEYS[2])
tell(ARGV[2])
return 1`,
)

/**
 * Resumes a schedule. KEYS: paused, counter of changes, states. ARGV: id, channel, the state that the caller knows, the one
 * that takes its place (`''` = none).
 */
export const RESUME: Script = script(
  TELL,
  `
redis.call('SREM', KEYS[1], ARGV[1])
if ARGV[4] ~= '' and redis.call('HGET', KEYS[3], ARGV[1]) == ARGV[3] then
  redis.call('HSET', KEYS[3], ARGV[1], ARGV[4])
end
redis.call('INCR', KEYS[2])
tell(ARGV[2])
return 1`,
)
