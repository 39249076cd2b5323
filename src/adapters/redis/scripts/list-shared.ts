/**
 * Functions of the scripts of lists. A list has nothing but bodies, as Python's workers expect; what else is known of a
 * message that waits is kept beside it, by the SHA-1 of its body. Python's workers cannot remove that when they take the
 * message, so it is removed when the list runs empty, and expires a day after the last change.
 *
 * What a session holds is a hash of bodies. A field says the rest: `<token>:<attempt>:<task id>`, the id being empty
 * where the body tells it.
 */

/** Keeps and forgets what is known of messages that wait; puts them back; adds them. */
export const LIST = `
local KEPT_MS = '86400000'
local function note(key, body, value)
  redis.call('HSET', key, redis.sha1hex(body), value)
  redis.call('PEXPIRE', key, KEPT_MS)
end
local function note_id(to, body, id)
  if id == '' then return end
  -- Bodies that do not tell their task can be equal.
  local others = redis.call('HGET', to.ids, redis.sha1hex(body))
  note(to.ids, body, others and others .. '\\0' .. id or id)
end
local function note_attempts(to, body, attempts)
  if attempts > 0 then note(to.attempts, body, attempts) end
end
local function taken_id(to, sha)
  local ids = redis.call('HGET', to.ids, sha)
  if not ids then return '' end
  local cut = string.find(ids, '\\0', 1, true)
  if cut then
    redis.call('HSET', to.ids, sha, string.sub(ids, cut + 1))
    return string.sub(ids, 1, cut - 1)
  end
  redis.call('HDEL', to.ids, sha)
  return ids
end
local function taken_attempts(to, sha)
  local attempts = redis.call('HGET', to.attempts, sha)
  if not attempts then return 0 end
  redis.call('HDEL', to.attempts, sha)
  return tonumber(attempts)
end
local function parse_held(field)
  local first = string.find(field, ':', 1, true)
  local second = string.find(field, ':', first + 1, true)
  local token, attempt = string.sub(field, 1, first - 1), string.sub(field, first + 1, second - 1)
  return tonumber(token), tonumber(attempt), string.sub(field, second + 1)
end
-- Puts messages where the next are taken from, in the order in which they were taken. Returns an error, or nothing.
local function put_back(to, messages)
  table.sort(messages, function(a, b) return a.token > b.token end)
  for from = 1, #messages, 1000 do
    local bodies = {}
    for i = from, math.min(from + 999, #messages) do bodies[#bodies + 1] = messages[i].body end
    local reply = redis.pcall('RPUSH', to.queue, unpack(bodies))
    if type(reply) == 'table' and reply.err then return reply end
  end
  for _, message in ipairs(messages) do
    note_attempts(to, message.body, message.attempts)
    note_id(to, message.body, message.id)
  end
end
local function put(to, body, id)
  redis.call('LPUSH', to.queue, body)
  note_id(to, body, id)
end
local function put_later(to, body, id, due)
  local order = string.format('%016d', redis.call('INCR', to.sequence))
  local member = order .. '0:' .. #id .. ':' .. id .. body
  redis.call('ZADD', to.delayed, due, member)
  if redis.call('ZRANGE', to.delayed, 0, 0)[1] == member then
    redis.call('PUBLISH', 'kiq:due', string.format('%.0f', due) .. ' ' .. to.queue)
  end
end
local function put_when(to, body, id, due, now)
  if due and due > now then
    put_later(to, body, id, due)
  else
    put(to, body, id)
  end
end`

/**
 * Moves delayed messages whose time has come, at most 1,000 a call. Returns an error when they cannot be moved, for want
 * of memory: then they stay where they are, and what is in the queue can be taken all the same.
 */
export const PROMOTE_TO_LIST = `
local function promote(to, now)
  local due = redis.call('ZRANGEBYSCORE', to.delayed, '-inf', now, 'LIMIT', 0, 1000)
  for _, member in ipairs(due) do
    local body, id = parse_delayed(member)
    local reply = redis.pcall('LPUSH', to.queue, body)
    if type(reply) == 'table' and reply.err then return reply end
    note_id(to, body, id)
    redis.call('ZREM', to.delayed, member)
  end
end`

/** Puts back what a worker that waited took out of the queue and did not claim. */
export const RETURN_INCOMING = `
local function return_incoming(queue, incoming)
  local moved = redis.pcall('LMOVE', incoming, queue, 'LEFT', 'RIGHT')
  while type(moved) == 'string' do moved = redis.pcall('LMOVE', incoming, queue, 'LEFT', 'RIGHT') end
end`
