-- Takes what this replica says of each limit, and leases it a part of what is
-- left in place of the lease before.
-- KEYS: the replicas, then a hash for each limit: "b" and a second holds what
-- was begun in it; a replica's name its lease, its deposit, until when both
-- count, what it wants, and how many it runs.
-- ARGV: this replica, ms that a lease lasts, 0 to give it back; then for each
-- limit: how many, within how many seconds (0: at once), the deposit in
-- millionths, how many were begun (or run), how many more are wanted, how many
-- it may begin until it has the answer.
-- Returns for each limit what is leased, and after how many ms there is room if
-- the limit is used up.
-- Times are the server's own, so that the replicas' clocks need not agree; if it
-- is set back, what lies ahead of it is forgotten.
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
  local used, want, runs = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), 0
  local hold = tonumber(ARGV[at + 5])
  local sum, held, wanted, by = 0, 0, 0, {}
  local deposits = deposit
  local all = redis.call('HGETALL', key)
  for j = 1, #all, 2 do
    local s = tonumber(string.match(all[j], '^b(%d+)$') or '')
    if s and s >= second - span and s <= second + span then
      by[s] = tonumber(all[j + 1])
      sum = sum + by[s]
    elseif s then
      redis.call('HDEL', key, all[j])
    elseif all[j] ~= me then
      local l, d, t, w, r = string.match(all[j + 1], '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
      if not t or tonumber(t) <= now then
        redis.call('HDEL', key, all[j])
      else
        held, deposits, wanted, sum = held + tonumber(l), deposits + tonumber(d), wanted + tonumber(w), sum + tonumber(r)
      end
    end
  end
  if span == 0 then
    runs = used
  elseif used > 0 then
    by[second] = (by[second] or 0) + used
    redis.call('HSET', key, 'b' .. whole(second), whole(by[second]))
  end
  sum = sum + used
  size = size + math.floor(deposits / 1000000)
  want = math.min(want, size)
  -- What is left is divided by what is wanted; what nobody wants is held in even
  -- parts against a sudden request, until somebody does.
  local left = math.max(0, size - sum)
  local rest, lease = math.max(0, left - held), 0
  if wanted + want > left then
    lease = left * want / (wanted + want)
  else
    lease = want + (left - wanted - want) / replicas
  end
  lease = math.min(rest, math.ceil(lease))
  -- What it begins before it has the answer is begun on the lease before.
  redis.call('HSET', key, me, table.concat({whole(math.max(lease, hold)), whole(deposit), whole(till), whole(want), whole(runs)}, ' '))
  redis.call('PEXPIRE', key, whole(span * 1000 + till - now + 5000))
  local room, over = 0, sum - size
  if over >= 0 then
    for s = second - span, second do
      over = over - (by[s] or 0)
      if over < 0 then
        room = (s + span + 1) * 1000 - now
        break
      end
    end
  end
  out[#out + 1] = lease
  out[#out + 1] = room
end
return out
