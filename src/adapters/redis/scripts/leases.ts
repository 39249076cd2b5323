/** Functions of sessions and their leases, whatever the kind of queue. */

/**
 * Renews a lease; tells `lost` or `flushed` when there is none.
 *
 * When nobody was heard of for a while, Redis itself was away and every lease looks over: then all get time to renew
 * theirs.
 */
export const RENEW = `
local function renew(keys, session, now)
  if not redis.call('ZSCORE', keys.leases, session.consumer) then
    return redis.call('GET', keys.epoch) == session.epoch and 'lost' or 'flushed'
  end
  -- Needs no memory, so it is never refused; and a script that has written once may go on writing.
  redis.call('PERSIST', keys.beat)
  -- Nobody at all yet is as little as nobody for a while.
  local last = tonumber(redis.call('GET', keys.beat) or 0)
  if now - last > session.lease / 2 then
    for _, other in ipairs(redis.call('ZRANGEBYSCORE', keys.leases, '-inf', now + session.lease / 2)) do
      redis.call('ZADD', keys.leases, now + math.floor(session.lease / 2), other)
    end
  end
  redis.call('SET', keys.beat, now)
  redis.call('ZADD', keys.leases, 'XX', now + math.floor(session.lease * 0.8), session.consumer)
  return 'ok'
end`

/**
 * The sessions that a name means: one by its own name, all of a worker by the name up to the number. No others, though
 * the id of their worker may begin likewise.
 */
export const NAMED = `
local function named(leases, beginning)
  local found = {}
  for _, consumer in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
    if string.sub(consumer, 1, #beginning) == beginning and string.find(consumer, '^%d*$', #beginning + 1) then
      found[#found + 1] = consumer
    end
  end
  return found
end`
