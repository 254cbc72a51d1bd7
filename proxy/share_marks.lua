-- Tells the others what is left out for a while, and hears what they have told.
-- KEYS: the replicas (sorted set, by when they are forgotten), the marks (hash,
-- until when in ms), their order (sorted set), the count (hash: the number of
-- the last mark, and the epoch, which is another one after the server has lost
-- its data).
-- ARGV: this replica, ms until it is forgotten, the epoch that it knows, the
-- number of the last mark it has heard of; then each mark and for how many ms it
-- holds.
-- Returns the number of replicas, the epoch, the number of the last mark, then
-- each mark that is new to the replica and for how many ms it holds.
-- Times are the server's own, so that the replicas' clocks need not agree.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local day = 25 * 3600 * 1000 -- a quota per day is the longest that a mark holds
local most = 20000
local function whole(n) return string.format('%.0f', n) end

redis.call('ZADD', KEYS[1], whole(now + tonumber(ARGV[2])), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', whole(now))
redis.call('PEXPIRE', KEYS[1], day)
redis.call('HSETNX', KEYS[4], 'epoch', clock[1] .. clock[2] .. ARGV[1])
redis.call('PEXPIRE', KEYS[4], day)
for i = 5, #ARGV, 2 do
  if redis.call('HLEN', KEYS[2]) >= most then
    -- Whoever has heard of them keeps them.
    redis.call('DEL', KEYS[2], KEYS[3])
  end
  local till = now + tonumber(ARGV[i + 1])
  local known = tonumber(redis.call('HGET', KEYS[2], ARGV[i]) or '0')
  if till > known + 500 then
    redis.call('HSET', KEYS[2], ARGV[i], whole(till))
    redis.call('ZADD', KEYS[3], redis.call('HINCRBY', KEYS[4], 'last', 1), ARGV[i])
    redis.call('PEXPIRE', KEYS[2], day)
    redis.call('PEXPIRE', KEYS[3], day)
  end
end
local epoch, since = redis.call('HGET', KEYS[4], 'epoch'), tonumber(ARGV[4])
if epoch ~= ARGV[3] then since = 0 end
local out = {redis.call('ZCARD', KEYS[1]), epoch, tonumber(redis.call('HGET', KEYS[4], 'last') or '0')}
for _, mark in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. whole(since), '+inf')) do
  local till = tonumber(redis.call('HGET', KEYS[2], mark) or '0')
  if till <= now then
    redis.call('HDEL', KEYS[2], mark)
    redis.call('ZREM', KEYS[3], mark)
  else
    out[#out + 1] = mark
    out[#out + 1] = till - now
  end
end
return out
