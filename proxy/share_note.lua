-- Keeps where things came from that the API keeps, for other replicas to find.
-- KEYS: the young, the old (hashes: a name, the second until which it is kept
-- and where it came from). When the young are many they become the old, which
-- are forgotten: there are never more than twice as many.
-- ARGV: how many are many, ms that the longest is kept; then for each its name,
-- for how many seconds it is kept, and where it came from.
-- Times are the server's own, so that the replicas' clocks need not agree.
local now = tonumber(redis.call('TIME')[1])
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[1]) then
  redis.call('UNLINK', KEYS[2])
  redis.call('RENAME', KEYS[1], KEYS[2])
end
for i = 3, #ARGV, 3 do
  redis.call('HSET', KEYS[1], ARGV[i], string.format('%.0f %s', now + tonumber(ARGV[i + 1]), ARGV[i + 2]))
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return #ARGV
