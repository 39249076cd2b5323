/**
 * Functions that several scripts share, in Lua. Redis runs a script as one step: nobody sees half of it, and whatever it
 * checks still holds when it writes.
 */

/** Milliseconds since the epoch on the server's clock: the only one that all workers share. */
export const NOW = `
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end`

/**
 * Makes a function that says whether to send a message, and remembers it if it is sent once: then its time is not `''`,
 * and the next of the keys from `first` on is its own.
 */
export const ONCE = `
local function once_from(first)
  local index = first - 1
  return function(at, ttl)
    if at == '' then return true end
    index = index + 1
    local known = redis.call('GET', KEYS[index])
    if known and tonumber(known) >= tonumber(at) then return false end
    redis.call('SET', KEYS[index], at, 'PX', ttl)
    return true
  end
end`

/** Lets a worker that waits look for what is not in the queue itself; no more tokens than workers. */
export const WAKE = `
local function wake(wake_key, leases)
  if redis.call('XLEN', wake_key) < redis.call('ZCARD', leases) then
    redis.call('XADD', wake_key, '*', 'w', '')
  end
end`

/**
 * Puts a message where it belongs. One with a priority waits apart, unless only workers of Python are there, who do not
 * look there: then it goes to the queue.
 *
 * Members of the sorted sets begin with 16 digits that keep them apart and in order.
 */
export const PUT = `
local function add_entry(queue, body, id)
  if id == '' then
    redis.call('XADD', queue, '*', 'data', body)
  else
    redis.call('XADD', queue, '*', 'data', body, 'id', id)
  end
end
local function only_python_serves(to, now)
  if redis.call('ZCOUNT', to.leases, now, '+inf') > 0 then return false end
  local consumers = redis.pcall('XINFO', 'CONSUMERS', to.queue, to.group)
  if consumers.err then return false end
  for _, info in ipairs(consumers) do
    for i = 1, #info, 2 do
      if info[i] == 'name' and string.sub(info[i + 1], 1, 4) ~= 'kiq:' then return true end
    end
  end
  return false
end
local function put(to, body, id, priority, now)
  if priority == 0 or only_python_serves(to, now) then
    add_entry(to.queue, body, id)
    return
  end
  local order = string.format('%016d', redis.call('INCR', to.sequence))
  redis.call('ZADD', to.priority, -priority, order .. #id .. ':' .. id .. body)
  wake(to.wake, to.leases)
end
local function put_later(to, body, id, priority, due)
  local order = string.format('%016d', redis.call('INCR', to.sequence))
  local member = order .. priority .. ':' .. #id .. ':' .. id .. body
  redis.call('ZADD', to.delayed, due, member)
  if redis.call('ZRANGE', to.delayed, 0, 0)[1] == member then wake(to.wake, to.leases) end
end
local function put_when(to, body, id, priority, due, now)
  if due and due > now then
    put_later(to, body, id, priority, due)
  else
    put(to, body, id, priority, now)
  end
end`

/** Reads what `put` and `put_later` wrote. */
export const PARSE = `
local function parse_waiting(member)
  local colon = string.find(member, ':', 17, true)
  local length = tonumber(string.sub(member, 17, colon - 1))
  return string.sub(member, colon + length + 1), string.sub(member, colon + 1, colon + length)
end
local function parse_delayed(member)
  local colon = string.find(member, ':', 17, true)
  local priority = tonumber(string.sub(member, 17, colon - 1))
  local second = string.find(member, ':', colon + 1, true)
  local length = tonumber(string.sub(member, colon + 1, second - 1))
  return string.sub(member, second + length + 1), string.sub(member, second + 1, second + length), priority
end`

/** Moves delayed messages whose time has come; at most 1,000 a call, so that no script is long. */
export const PROMOTE = `
local function promote(to, now)
  local due = redis.call('ZRANGEBYSCORE', to.delayed, '-inf', now, 'LIMIT', 0, 1000)
  for _, member in ipairs(due) do
    local body, id, priority = parse_delayed(member)
    put(to, body, id, priority, now)
    redis.call('ZREM', to.delayed, member)
  end
  return #due
end`

/**
 * Lets go of an entry: it stays pending, under the name of nobody, with the number of its deliveries so far, and is
 * the next to be delivered. Python's workers find it, too, once it is idle for long enough.
 */
export const PARK = `
local PARKED = 'kiq:parked'
local function park(stream, group, id, deliveries)
  redis.call('XCLAIM', stream, group, PARKED, 0, id, 'RETRYCOUNT', deliveries, 'JUSTID')
end
local function park_all(stream, group, consumer, less)
  local parked = 0
  local pending = redis.pcall('XPENDING', stream, group, '-', '+', 1000, consumer)
  while not pending.err and #pending > 0 do
    for _, entry in ipairs(pending) do
      park(stream, group, entry[1], math.max(entry[4] - less, 0))
    end
    parked = parked + #pending
    pending = redis.pcall('XPENDING', stream, group, '-', '+', 1000, consumer)
  end
  return parked
end
local function drop_consumer(streams, group, consumer)
  for _, stream in ipairs(streams) do
    local pending = redis.pcall('XPENDING', stream, group, '-', '+', 1, consumer)
    if not pending.err and #pending == 0 then redis.pcall('XGROUP', 'DELCONSUMER', stream, group, consumer) end
  end
end
local function wake_all(wake_key, leases)
  redis.call('XTRIM', wake_key, 'MAXLEN', 0)
  for _ = 1, math.min(redis.call('ZCARD', leases), 100) do redis.call('XADD', wake_key, '*', 'w', '') end
end`
