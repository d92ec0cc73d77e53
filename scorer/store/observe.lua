-- Takes clicks into the live store: stamps each, counts it in, and tells its features.
--
-- KEYS[1]  the clock: a hash of the last ts and seq, the epoch, the server and the counters kept
-- then for each click: its memory; for each entity: its hash, '' where null;
--                      for each (entity, member): the member's sorted set, '' where either is null
-- ARGV[1]  the name of a new epoch, should one begin
-- ARGV[2]  the server's incarnation, which a restart or failover changes
-- ARGV[3]  for how many ms a click_id is remembered
-- then for each click: the time in µs, '' for the server's own; for each (entity, member): the member
--
-- Answers with a text per click: repeated layout ts seq epoch value value …, the values in the order
-- of LAYOUT. Above this file stand the constants in capitals, as scorer.store.layout writes them.
--
-- An entity's hash holds per window a total and its buckets, oldest first: 4 bytes of total, then
-- 4 of bucket number and 4 of clicks for each bucket that has any; and per gap the last ts.
-- Expiry only frees memory: what a window sees is decided by ts alone.

local floor, byte, char, sub = math.floor, string.byte, string.char, string.sub
local call = redis.call

local function packed(x)
  return char(floor(x / 16777216) % 256, floor(x / 65536) % 256, floor(x / 256) % 256, x % 256)
end

local function number_at(text, place)
  local a, b, c, d = byte(text, place, place + 3)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

local function written(x)
  return string.format('%.0f', x)  -- tostring() would keep 14 digits
end

-- Counts a click in bucket b into a window of n buckets; returns the count and the window.
local function counted(window, b, n)
  local size, from, total = #window, 5, number_at(window, 1)
  while from < size and number_at(window, from) <= b - n do
    total = total - number_at(window, from + 4)
    from = from + 8
  end
  total = total + 1
  if from > size or number_at(window, size - 7) < b then
    return total, packed(total) .. sub(window, from) .. packed(b) .. packed(1)
  end
  local clicks = number_at(window, size - 3) + 1
  return total, packed(total) .. sub(window, from, size - 4) .. packed(clicks)
end

local EMPTY = packed(0)

-- Counts a click into an entity's windows and gaps; appends its features to `out`.
local function observe_entity(entity, key, ts, ahead, out)
  if key == '' then
    for _ = 1, #entity.windows do out[#out + 1] = 0 end
    for _, cap in ipairs(entity.caps) do out[#out + 1] = cap end
    return
  end
  if #entity.windows + #entity.caps == 0 then return end
  local held = call('HMGET', key, unpack(entity.fields))
  local change = {'HSET', key}
  for i, window in ipairs(entity.windows) do
    local total, now = counted(held[i] or EMPTY, floor(ts / window[1]), window[2])
    out[#out + 1] = total
    change[#change + 1] = entity.fields[i]
    change[#change + 1] = now
  end
  if #entity.caps > 0 then
    local last = held[#entity.windows + 1]
    local gap = last and floor((ts - tonumber(last)) / 1000)
    for _, cap in ipairs(entity.caps) do
      out[#out + 1] = gap and math.max(0, math.min(gap, cap)) or cap
    end
    change[#change + 1] = 'ts'
    change[#change + 1] = written(ts)
  end
  call(unpack(change))
  call('PEXPIRE', key, written(entity.keep + ahead))
end

-- Marks a member as seen with its entity; appends the number of distinct ones per window.
local function observe_member(distinct, key, member, ts, ahead, out)
  if key == '' then
    for _ = 1, #distinct.windows do out[#out + 1] = 0 end
    return
  end
  if member ~= '' then
    call('ZADD', key, written(ts), member)
    call('PEXPIRE', key, written(distinct.keep + ahead))
  end
  local oldest = ts
  for _, window in ipairs(distinct.windows) do
    local first = (floor(ts / window[1]) - window[2] + 1) * window[1]
    oldest = math.min(oldest, first)
    out[#out + 1] = call('ZCOUNT', key, written(first), '+inf')
  end
  call('ZREMRANGEBYSCORE', key, '-inf', '(' .. written(oldest))
end

-- Tells whether all counters kept now were kept up to the last click.
local function still_kept(before)
  if before == LAYOUT then return true end
  local kept = {}
  for counter in string.gmatch(before, '%S+') do kept[counter] = true end
  for counter in string.gmatch(LAYOUT, '%S+') do
    if not kept[counter] then return false end
  end
  return true
end

local clock = call('HMGET', KEYS[1], 'ts', 'seq', 'epoch', 'server', 'layout')
local ts, seq, epoch = tonumber(clock[1] or 0), tonumber(clock[2] or 0), clock[3]
if not clock[1] or clock[4] ~= ARGV[2] or not still_kept(clock[5]) then epoch = ARGV[1] end
local time = call('TIME')
local present = tonumber(time[1]) * 1000000 + tonumber(time[2])

local answers, k, a, stamped = {}, 2, 4, false
while k <= #KEYS do
  local memory = KEYS[k]
  local known = call('GET', memory)
  if known then
    answers[#answers + 1] = '1' .. known
    k, a = k + KEYS_PER_CLICK, a + ARGS_PER_CLICK
  else
    stamped = true
    ts = math.max(ts, tonumber(ARGV[a]) or present)
    seq = math.max(seq + 1, ts)
    local ahead = math.max(0, floor((ts - present) / 1000))
    local out = {'', LAYOUT_DIGEST, written(ts), written(seq), epoch}
    k, a = k + 1, a + 1
    for _, entity in ipairs(ENTITIES) do
      observe_entity(entity, KEYS[k], ts, ahead, out)
      k = k + 1
      for _, distinct in ipairs(entity.distincts) do
        observe_member(distinct, KEYS[k], ARGV[a], ts, ahead, out)
        k, a = k + 1, a + 1
      end
    end
    local answer = table.concat(out, ' ')
    call('SET', memory, answer, 'PX', ARGV[3])
    answers[#answers + 1] = '0' .. answer
  end
end
if stamped then
  call('HSET', KEYS[1], 'ts', written(ts), 'seq', written(seq), 'epoch', epoch,
       'server', ARGV[2], 'layout', LAYOUT)
end
return answers
