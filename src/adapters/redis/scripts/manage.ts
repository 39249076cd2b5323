import { script } from '../script.ts'
import type { Script } from '../script.ts'
import { NOW, PARK, PARSE } from './shared.ts'

/**
 * Whether an entry, or a waiting member, is a message of that task. Without an `id` of its own the body tells: Taskiq's
 * messages begin with the id, in whatever format.
 */
export const IS_TASK = `
local function says(body, task_id)
  local at = string.find(body, 'task_id', 1, true)
  if not at then return false end
  local found = string.find(body, task_id, at + 7, true)
  return found ~= nil and found - at <= 12
end
local function is_task(fields, task_id)
  local body = ''
  for i = 1, #fields, 2 do
    if fields[i] == 'id' then return fields[i + 1] == task_id end
    if fields[i] == 'data' then body = fields[i + 1] end
  end
  return says(body, task_id)
end`

/**
 * Looks for the messages of a task among the next entries of a stream, and removes those that nobody runs.
 *
 * KEYS: stream. ARGV: group, task id, id to begin with, most entries to look at. Returns { id to go on with or `''`,
 * removed, running }.
 */
export const CANCEL_IN_STREAM: Script = script(
  PARK,
  IS_TASK,
  `
local group, task_id = ARGV[1], ARGV[2]
local entries = redis.pcall('XRANGE', KEYS[1], ARGV[3], '+', 'COUNT', ARGV[4])
-- Something else at the key: no message is there, and other queues are to be looked at.
if entries.err then return { '', 0, 0 } end
local removed, running, next = 0, 0, ''
for _, entry in ipairs(entries) do
  if is_task(entry[2], task_id) then
    local pending = redis.pcall('XPENDING', KEYS[1], group, entry[1], entry[1], 1)
    local holder = not pending.err and pending[1] and pending[1][2]
    if holder and holder ~= PARKED then
      running = running + 1
    else
      local last = redis.pcall('XINFO', 'GROUPS', KEYS[1])
      -- What Python's workers have acknowledged stays in the stream; it is neither waiting nor running.
      local delivered = '0-0'
      if not last.err then
        for _, info in ipairs(last) do
          local facts = {}
          for i = 1, #info, 2 do facts[info[i]] = info[i + 1] end
          if facts.name == group then delivered = facts['last-delivered-id'] end
        end
      end
      local function parts(id)
        local dash = string.find(id, '-', 1, true)
        return tonumber(string.sub(id, 1, dash - 1)), tonumber(string.sub(id, dash + 1))
      end
      local ms, seq = parts(entry[1])
      local last_ms, last_seq = parts(delivered)
      local waiting = ms > last_ms or (ms == last_ms and seq > last_seq)
      if holder or waiting then
        if holder then redis.call('XACK', KEYS[1], group, entry[1]) end
        redis.call('XDEL', KEYS[1], entry[1])
        removed = removed + 1
      end
    end
  end
end
if #entries == tonumber(ARGV[4]) then next = '(' .. entries[#entries][1] end
return { next, removed, running }`,
)

/** The same for a sorted set. KEYS: set. ARGV: task id, cursor, `delayed` or `priority`. Returns { cursor, removed }. */
export const CANCEL_IN_SET: Script = script(
  PARSE,
  IS_TASK,
  `
local reply = redis.call('ZSCAN', KEYS[1], ARGV[2], 'COUNT', 1000)
local parse = ARGV[3] == 'delayed' and parse_delayed or parse_waiting
local removed = 0
for i = 1, #reply[2], 2 do
  local member = reply[2][i]
  local body, id = parse(member)
  if id == ARGV[1] or (id == '' and says(body, ARGV[1])) then removed = removed + redis.call('ZREM', KEYS[1], member) end
end
return { reply[1], removed }`,
)

/** How much is in a queue. KEYS: queue, taken, delayed, priority, dead. ARGV: group. Returns four counts: ready, delayed, running, dead. */
export const DEPTH: Script = script(
  NOW,
  PARK,
  `
local group = ARGV[1]
local now = now_ms()
local function group_of(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then return nil end
  for _, info in ipairs(groups) do
    local facts = {}
    for i = 1, #info, 2 do facts[info[i]] = info[i + 1] end
    if facts.name == group then return facts end
  end
  return nil
end
local function parked_in(stream)
  local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, group)
  if consumers.err then return 0 end
  for _, info in ipairs(consumers) do
    local facts = {}
    for i = 1, #info, 2 do facts[info[i]] = info[i + 1] end
    if facts.name == PARKED then return facts.pending end
  end
  return 0
end
local function length(stream)
  local count = redis.pcall('XLEN', stream)
  return type(count) == 'number' and count or 0
end
-- The lag is the truth where Redis knows it. Where it does not, entries are counted up to a bound; beyond it the length
-- must do, which also counts what Python's workers have acknowledged.
local MOST_COUNTED = 2000
local facts, waiting, pending = group_of(KEYS[1]), length(KEYS[1]), 0
if facts then
  pending = facts.pending
  if type(facts.lag) == 'number' then
    waiting = facts.lag
  else
    local next = redis.call('XRANGE', KEYS[1], '(' .. facts['last-delivered-id'], '+', 'COUNT', MOST_COUNTED)
    waiting = #next < MOST_COUNTED and #next or math.max(waiting - pending, 0)
  end
end
local taken = group_of(KEYS[2])
local taken_pending = taken and taken.pending or 0
local parked = parked_in(KEYS[1]) + parked_in(KEYS[2])
local due = redis.call('ZCOUNT', KEYS[3], '-inf', now)
return {
  waiting + parked + due + redis.call('ZCARD', KEYS[4]),
  redis.call('ZCARD', KEYS[3]) - due,
  pending + taken_pending - parked,
  length(KEYS[5]),
}`,
)

/** Puts dead letters back. KEYS: queue, dead. ARGV: ids. Returns how many. */
export const RETRY_DEAD: Script = script(`
local count = 0
for _, id in ipairs(ARGV) do
  local entry = redis.call('XRANGE', KEYS[2], id, id)[1]
  if entry then
    local body, task_id = '', ''
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'data' then body = entry[2][i + 1] end
      if entry[2][i] == 'id' then task_id = entry[2][i + 1] end
    end
    if task_id == '' then
      redis.call('XADD', KEYS[1], '*', 'data', body)
    else
      redis.call('XADD', KEYS[1], '*', 'data', body, 'id', task_id)
    end
    redis.call('XDEL', KEYS[2], id)
    count = count + 1
  end
end
return count`)
