import { script } from '../script.ts'
import type { Script } from '../script.ts'
import { NOW, PARK, PUT, WAKE } from './shared.ts'

/**
 * Stores results; `announce` at the end of the script then tells those who wait, in one publication for each channel
 * that somebody listens to. It holds, for each result, id, NUL, length of the body, NUL, body. A long body is left out, and
 * its length is empty.
 */
export const SAVE = `
local call, sub = redis.call, string.sub
local channels, everywhere = {}, false
-- Tasks of one sender end alike, and mostly come together.
local last, told
local function save(key_prefix, channel_prefix, task_id, ttl, body)
  if ttl == '' then
    call('SET', key_prefix .. task_id, body)
  else
    call('PSETEX', key_prefix .. task_id, ttl, body)
  end
  local suffix = sub(task_id, -4)
  if suffix ~= last then
    last = suffix
    local channel = channel_prefix .. suffix
    told = channels[channel]
    if not told then
      told = { heard = everywhere or call('PUBSUB', 'NUMSUB', channel)[2] > 0 }
      channels[channel] = told
    end
  end
  if not told.heard then return end
  local n = #told
  told[n + 1] = task_id
  if #body <= 4096 then
    told[n + 2], told[n + 3], told[n + 4], told[n + 5] = '\\0', #body, '\\0', body
  else
    told[n + 2] = '\\0\\0'
  end
end
local function announce()
  for channel, told in pairs(channels) do
    if told.heard then redis.call('PUBLISH', channel, table.concat(told)) end
  end
end`

/** Removes settled entries; a call takes some thousand arguments at most. */
const FORGET = `
local function forget(stream, group, ids, keep)
  for from = 1, #ids, 1000 do
    local last = math.min(from + 999, #ids)
    redis.call('XACK', stream, group, unpack(ids, from, last))
    if not keep then redis.call('XDEL', stream, unpack(ids, from, last)) end
  end
end`

/**
 * Acknowledges, with results: the path of nearly every message.
 *
 * KEYS: queue, taken, leases. ARGV: group, consumer, `keep` or `''`, prefix of the keys of results, prefix of their
 * channels, number of ids of `queue`, these, number of ids of `taken`, these, then per result task id, milliseconds to
 * keep it (`''` = for ever), body.
 *
 * Returns 1, or 0 when the session is over: then nothing was changed.
 */
export const ACK: Script = script(
  SAVE,
  FORGET,
  `
local queue, taken, leases = KEYS[1], KEYS[2], KEYS[3]
local group, consumer, keep = ARGV[1], ARGV[2], ARGV[3] == 'keep'
if not redis.call('ZSCORE', leases, consumer) then return 0 end
local at = 6
local function list()
  local length = tonumber(ARGV[at])
  local ids = {}
  for i = 1, length do ids[i] = ARGV[at + i] end
  at = at + length + 1
  return ids
end
local queue_ids, taken_ids = list(), list()
-- What may be refused for want of memory comes first: then nothing is changed.
for i = at, #ARGV, 3 do save(ARGV[4], ARGV[5], ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
forget(queue, group, queue_ids, keep)
forget(taken, group, taken_ids, false)
announce()
return 1`,
)

/**
 * Settles in every way, each delivery by itself.
 *
 * KEYS: queue, taken, wake, leases, dead. ARGV: group, consumer, `keep` or `''`, prefix of the keys of results, prefix of
 * their channels, milliseconds to keep dead letters, then per settlement: kind, `q` or `t` for the stream, id, attempt,
 * number of further arguments, these. `save` in front of a settlement stores a result if the settlement counts.
 *
 * Returns per settlement 1, or 0 when the delivery belongs to somebody else. What this session had settled before is
 * settled: the answer to the first try was lost.
 */
export const SETTLE: Script = script(
  NOW,
  WAKE,
  PUT,
  PARK,
  SAVE,
  FORGET,
  `
local queue, taken, wake_key, leases, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local group, consumer, keep, ttl = ARGV[1], ARGV[2], ARGV[3] == 'keep', tonumber(ARGV[6])
local valid = redis.call('ZSCORE', leases, consumer)
local now = now_ms()
local outcomes, gone, result = {}, { q = {}, t = {} }, nil
local at = 7
while at <= #ARGV do
  local kind, source, id, attempt, more = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
  local first = at + 5
  at = first + more
  if kind == 'save' then
    result = first
  else
    local stream = source == 'q' and queue or taken
    local pending = redis.pcall('XPENDING', stream, group, id, id, 1, consumer)
    local held = not pending.err and #pending > 0
    if held or valid then
      if result then save(ARGV[4], ARGV[5], ARGV[result], ARGV[result + 1], ARGV[result + 2]) end
      if held then
        if kind == 'replace' then
          -- 'elsewhere': sent already, to a queue of another slot.
          if more > 1 then
            local to = {
              group = group, queue = ARGV[first + 4], leases = ARGV[first + 5], wake = ARGV[first + 6],
              delayed = ARGV[first + 7], priority = ARGV[first + 8], sequence = ARGV[first + 9],
            }
            put_when(to, ARGV[first + 3], ARGV[first + 2], tonumber(ARGV[first + 1]), tonumber(ARGV[first]), now)
          end
        elseif kind == 'dead' then
          redis.call('XADD', dead, '*', 'data', ARGV[first], 'reason', ARGV[first + 1], 'name', ARGV[first + 2],
            'id', ARGV[first + 3], 'attempt', attempt)
          redis.call('XTRIM', dead, 'MINID', '~', string.format('%.0f', math.max(now - ttl, 0)))
        elseif kind == 'release' then
          park(stream, group, id, attempt - 1)
          wake(wake_key, leases)
        elseif kind == 'requeue' then
          park(stream, group, id, attempt)
          wake(wake_key, leases)
        end
        if kind ~= 'release' and kind ~= 'requeue' then gone[source][#gone[source] + 1] = id end
      end
      outcomes[#outcomes + 1] = 1
    else
      outcomes[#outcomes + 1] = 0
    end
    result = nil
  end
end
if #gone.q > 0 then forget(queue, group, gone.q, keep) end
if #gone.t > 0 then forget(taken, group, gone.t, false) end
announce()
return outcomes`,
)

/**
 * Stores results apart from a settlement. ARGV: prefix of the keys, prefix of the channels, `cluster` where listeners may
 * be at other nodes, then per result task id, milliseconds to keep it, body. KEYS: the keys that are written.
 */
export const SAVE_RESULTS: Script = script(
  SAVE,
  `
everywhere = ARGV[3] == 'cluster'
for i = 4, #ARGV, 3 do save(ARGV[1], ARGV[2], ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
announce()
return 1`,
)
