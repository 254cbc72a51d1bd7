-- Counts what this replica has begun of each limit, and leases it a part of the
-- rest in place of the lease before.
-- KEYS: the replicas, then a hash for each limit: "b" and a second holds what
-- was begun in it, a replica's name its lease, its deposit and until when.
-- ARGV: this replica, ms that a lease lasts; then for each limit: how many, in
-- how many seconds, the deposit in millionths, how many were begun, how many are
-- wanted, 1 for idle.
-- Returns for each limit what is leased, what is left beside it, and after how
-- many ms there is room if there is none.
local clock = redis.call('TIME')
local second = tonumber(clock[1])
local now = second * 1000 + math.floor(tonumber(clock[2]) / 1000)
local me, till = ARGV[1], now + tonumber(ARGV[2])
local replicas = math.max(1, redis.call('ZCARD', KEYS[1]))
local function whole(n) return string.format('%.0f', n) end
local out = {}
for i = 2, #KEYS do
  local key, at = KEYS[i], 3 + (i - 2) * 6
  local size, span, deposit = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local used, want, idle = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), ARGV[at + 5] == '1'
  local sum, held, deposits, by = 0, 0, deposit, {}
  local all = redis.call('HGETALL', key)
  for j = 1, #all, 2 do
    local s = tonumber(string.match(all[j], '^b(%d+)$') or '')
    if s then
      if s < second - span then
        redis.call('HDEL', key, all[j])
      else
        by[s] = tonumber(all[j + 1])
        sum = sum + by[s]
      end
    elseif all[j] ~= me then
      local n, d, t = string.match(all[j + 1], '^(%d+) (%d+) (%d+)$')
      if tonumber(t) <= now then
        redis.call('HDEL', key, all[j])
      else
        held, deposits = held + tonumber(n), deposits + tonumber(d)
      end
    end
  end
  if used > 0 then
    redis.call('HINCRBY', key, 'b' .. whole(second), used)
    by[second] = (by[second] or 0) + used
    sum = sum + used
  end
  size = size + math.floor(deposits / 1000000)
  local rest = math.max(0, size - sum - held)
  -- Whoever is idle holds a little against a sudden request, as long as there
  -- is plenty; of little, nobody gets more than half at once.
  local opening, left = math.max(1, math.floor(size / (2 * replicas))), 0
  if not idle then
    left = math.min(want + opening, math.ceil(rest / 2))
  elseif 2 * rest >= size then
    left = math.min(opening, rest)
  end
  redis.call('HSET', key, me, whole(left) .. ' ' .. whole(deposit) .. ' ' .. whole(till))
  redis.call('PEXPIRE', key, whole((span + 5) * 1000))
  local room, over = 0, sum + held - size
  if rest == 0 then
    for s = second - span, second do
      over = over - (by[s] or 0)
      if over < 0 then
        room = (s + span + 1) * 1000 - now
        break
      end
    end
  end
  local n = #out
  out[n + 1], out[n + 2], out[n + 3] = left, rest - left, room
end
return out
