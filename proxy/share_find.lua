-- Finds where things came from that share_note.lua keeps.
-- KEYS: the young, the old.
-- ARGV: how many of the young are many, then the names.
-- Returns for each where it came from, false when that is not known.
local now = tonumber(redis.call('TIME')[1])
local most = tonumber(ARGV[1])
local out = {}
for i = 2, #ARGV do
  local kept = redis.call('HGET', KEYS[1], ARGV[i])
  local old = not kept
  if old then kept = redis.call('HGET', KEYS[2], ARGV[i]) end
  local till, place = string.match(kept or '', '^(%d+) (.+)$')
  if till and tonumber(till) > now then
    out[i - 1] = place
    if old and redis.call('HLEN', KEYS[1]) < most then
      -- What is asked for is kept for longer. It is found also where nothing
      -- can be written.
      redis.pcall('HSET', KEYS[1], ARGV[i], kept)
      if redis.call('TTL', KEYS[1]) < 0 then
        redis.pcall('EXPIRE', KEYS[1], redis.call('TTL', KEYS[2]))
      end
    end
  else
    out[i - 1] = false
  end
end
return out
