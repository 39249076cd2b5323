import { script } from '../script.ts'
import type { Script } from '../script.ts'
import { LIST } from './list-shared.ts'
import { IS_TASK } from './manage.ts'
import { NOW } from './shared.ts'

/**
 * Looks for bodies that do not tell their task. KEYS: ids. ARGV: task id, cursor. Returns { cursor, then the SHA-1 of
 * bodies of the task }.
 */
export const FIND_IDS: Script = script(`
local reply = redis.call('HSCAN', KEYS[1], ARGV[2], 'COUNT', 1000)
local found = { reply[1] }
for i = 1, #reply[2], 2 do
  local ids = '\\0' .. reply[2][i + 1] .. '\\0'
  if string.find(ids, '\\0' .. ARGV[1] .. '\\0', 1, true) then found[#found + 1] = reply[2][i] end
end
return found`)

/**
 * Removes the messages of a task among the next bodies of a list, from the side where new ones come.
 *
 * KEYS: list, ids. ARGV: task id, position to begin with, most bodies to look at, then the SHA-1 of bodies of the task that
 * do not tell it. Returns { position to go on with or -1, removed }.
 */
export const CANCEL_IN_LIST: Script = script(
  IS_TASK,
  `
local task_id, from, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local silent = {}
for i = 4, #ARGV do silent[ARGV[i]] = true end
-- One body can stand for messages of several tasks: as many of them go as there are of this one.
local function without(sha)
  local left, mine = {}, 0
  for id in string.gmatch(redis.call('HGET', KEYS[2], sha) or '', '[^%z]+') do
    if id == task_id then mine = mine + 1 else left[#left + 1] = id end
  end
  if mine > 0 and #left > 0 then redis.call('HSET', KEYS[2], sha, table.concat(left, '\\0')) end
  if #left == 0 then redis.call('HDEL', KEYS[2], sha) end
  return mine
end
local bodies = redis.pcall('LRANGE', KEYS[1], from, from + count - 1)
-- Something else at the key: no message is there, and other queues are to be looked at.
if bodies.err then return { -1, 0 } end
local removed, seen = 0, {}
for _, body in ipairs(bodies) do
  if not seen[body] then
    if says(body, task_id) then
      seen[body] = true
      removed = removed + redis.call('LREM', KEYS[1], 0, body)
    elseif #ARGV > 3 then
      seen[body] = true
      local sha = redis.sha1hex(body)
      local mine = silent[sha] and without(sha) or 0
      if mine > 0 then removed = removed + redis.call('LREM', KEYS[1], mine, body) end
    end
  end
end
-- What was removed lay before the next position, or else some bodies are looked at twice.
if #bodies < count then return { -1, removed } end
return { math.max(from + count - removed, 0), removed }`,
)

/** How many messages of a task a session holds. KEYS: hash of the session. ARGV: task id. */
export const COUNT_HELD: Script = script(
  LIST,
  IS_TASK,
  `
local held, running = redis.call('HGETALL', KEYS[1]), 0
for i = 1, #held, 2 do
  local _, _, id = parse_held(held[i])
  if id == ARGV[1] or (id == '' and says(held[i + 1], ARGV[1])) then running = running + 1 end
end
return running`,
)

/**
 * How much is in a queue. KEYS: queue, incoming, delayed, leases, dead, beginning of the hashes of sessions. Returns four
 * counts: ready, delayed, running, dead.
 */
export const LIST_DEPTH: Script = script(
  NOW,
  `
-- Something else at the key of the queue counts nothing.
local function length(command, key)
  local count = redis.pcall(command, key)
  return type(count) == 'number' and count or 0
end
local due = redis.call('ZCOUNT', KEYS[3], '-inf', now_ms())
local running = 0
for _, consumer in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
  running = running + redis.call('HLEN', KEYS[6] .. consumer)
end
return {
  length('LLEN', KEYS[1]) + length('LLEN', KEYS[2]) + due,
  redis.call('ZCARD', KEYS[3]) - due,
  running,
  length('XLEN', KEYS[5]),
}`,
)

/** Puts dead letters back. KEYS: queue, dead, attempts, ids. ARGV: ids of the letters. Returns how many. */
export const RETRY_DEAD_TO_LIST: Script = script(
  LIST,
  IS_TASK,
  `
local to = { queue = KEYS[1], attempts = KEYS[3], ids = KEYS[4] }
local count = 0
for _, id in ipairs(ARGV) do
  local entry = redis.call('XRANGE', KEYS[2], id, id)[1]
  if entry then
    local body, task_id = '', ''
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'data' then body = entry[2][i + 1] end
      if entry[2][i] == 'id' then task_id = entry[2][i + 1] end
    end
    if task_id ~= '' and says(body, task_id) then task_id = '' end
    put(to, body, task_id)
    redis.call('XDEL', KEYS[2], id)
    count = count + 1
  end
end
return count`,
)
