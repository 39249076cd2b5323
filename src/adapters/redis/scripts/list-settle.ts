import { script } from '../script.ts'
import type { Script } from '../script.ts'
import { LIST } from './list-shared.ts'
import { SAVE } from './settle.ts'
import { NOW } from './shared.ts'

/** Removes settled messages from the hash of their session; a call takes some thousand arguments at most. */
const FORGET_HELD = `
local function forget(held, fields)
  for from = 1, #fields, 1000 do redis.call('HDEL', held, unpack(fields, from, math.min(from + 999, #fields))) end
end`

/**
 * Acknowledges, with results: the path of nearly every message.
 *
 * KEYS: leases, hash of the session. ARGV: consumer, prefix of the keys of results, prefix of their channels, number of
 * fields, these, then per result task id, milliseconds to keep it (`''` = for ever), body.
 *
 * Returns 1, or 0 when the session is over: then everything it held belongs to others, and nothing was changed. What this
 * session had settled before is settled: the answer to the first try was lost.
 */
export const ACK_ON_LIST: Script = script(
  SAVE,
  FORGET_HELD,
  `
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local count = tonumber(ARGV[4])
-- What may be refused for want of memory comes first: then nothing is changed.
for i = count + 5, #ARGV, 3 do save(ARGV[2], ARGV[3], ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
local fields = {}
for i = 1, count do fields[i] = ARGV[i + 4] end
forget(KEYS[2], fields)
announce()
return 1`,
)

/**
 * Settles in every way.
 *
 * KEYS: queue, leases, hash of the session, dead, attempts, ids. ARGV: consumer, prefix of the keys of results, prefix of
 * their channels, milliseconds to keep dead letters, then per settlement: kind, field, number of further arguments, these.
 * `save` in front of a settlement stores a result.
 *
 * Returns the same as {@link ACK_ON_LIST}.
 */
export const SETTLE_ON_LIST: Script = script(
  NOW,
  LIST,
  SAVE,
  FORGET_HELD,
  `
local own = { queue = KEYS[1], attempts = KEYS[5], ids = KEYS[6] }
local held, dead, ttl = KEYS[3], KEYS[4], tonumber(ARGV[4])
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end

-- All is looked at before anything is written: a key that holds something else is an error that changes nothing.
redis.call('LLEN', own.queue)
local todo, result, at = {}, nil, 5
while at <= #ARGV do
  local kind, field, more = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local first = at + 3
  at = first + more
  if kind == 'save' then
    result = first
  else
    -- 'elsewhere': sent already, to a queue of another slot.
    local target = kind == 'replace' and more > 1 and ARGV[first + 3]
    if target then redis.call('LLEN', target) end
    todo[#todo + 1] = { kind = kind, field = field, first = first, result = result, target = target }
    result = nil
  end
end

local now = now_ms()
local gone, back = {}, {}
for _, one in ipairs(todo) do
  if one.result then save(ARGV[2], ARGV[3], ARGV[one.result], ARGV[one.result + 1], ARGV[one.result + 2]) end
  if redis.call('HEXISTS', held, one.field) == 1 then
    gone[#gone + 1] = one.field
    local first = one.first
    if one.target then
      local to = {
        queue = one.target, delayed = ARGV[first + 4], sequence = ARGV[first + 5], attempts = ARGV[first + 6],
        ids = ARGV[first + 7],
      }
      put_when(to, ARGV[first + 2], ARGV[first + 1], tonumber(ARGV[first]), now)
    elseif one.kind ~= 'ack' and one.kind ~= 'replace' then
      local body = redis.call('HGET', held, one.field)
      local token, attempt, id = parse_held(one.field)
      if one.kind == 'dead' then
        redis.call('XADD', dead, '*', 'data', body, 'reason', ARGV[first], 'name', ARGV[first + 1],
          'id', ARGV[first + 2], 'attempt', attempt)
        redis.call('XTRIM', dead, 'MINID', '~', string.format('%.0f', math.max(now - ttl, 0)))
      else
        local attempts = one.kind == 'release' and attempt - 1 or attempt
        back[#back + 1] = { token = token, attempts = attempts, id = id, body = body }
      end
    end
  end
end
local failure = put_back(own, back)
if failure then return failure end
forget(held, gone)
announce()
return 1`,
)
