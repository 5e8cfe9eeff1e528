/**
 * What runs inside Redis: one script that reads, one that commits. Both work on two keys: a hash with all records
 * (KEYS[1]) and a sorted set of all their keys (KEYS[2]), every one with score 0, which Redis orders by their bytes.
 *
 * Arguments are counted lists, read one after the other. Texts are compared for equality only: Lua's `<` would depend
 * on the locale.
 */
import { createHash } from "node:crypto";
import type { Script } from "./redis-connection.ts";

const prelude = `
local data, index, position = KEYS[1], KEYS[2], 0
local function take() position = position + 1 return ARGV[position] end
local function count() return tonumber(take()) end
`;

/**
 * Arguments: keys · ranges (start, end, limit) · scans (base, prefix, from, delimiter, limit) · buried objects · 1 for a
 * new order. Answer: values · for each range its keys and values · for each scan three texts an entry ("e" key value, or
 * "p" prefix "") · notes · order.
 */
export const readScript = scriptOf(`
local function values(keys)
  local found = {}
  for first = 1, #keys, 1000 do
    local some = redis.call('HMGET', data, unpack(keys, first, math.min(first + 999, #keys)))
    for i = 1, #some do found[first + i - 1] = some[i] end
  end
  return found
end

local function range(first, last, limit)
  local keys = redis.call('ZRANGEBYLEX', index, '[' .. first, '(' .. last, 'LIMIT', 0, limit)
  local found, texts = {}, values(keys)
  for i = 1, #keys do found[2 * i - 1], found[2 * i] = keys[i], texts[i] end
  return found
end

-- Seeks past common prefixes; asks for few keys after one, since the next may be one again.
local function scan(base, prefix, from, delimiter, limit)
  local found, keys, where = {}, {}, {}
  local min, max, chunk = '[' .. from, '(' .. base .. prefix .. '\\255', limit
  if delimiter ~= '' then chunk = 4 end
  while #found < 3 * limit do
    local some = redis.call('ZRANGEBYLEX', index, min, max, 'LIMIT', 0, math.min(chunk, limit - #found / 3))
    if #some == 0 then break end
    min, chunk = '(' .. some[#some], math.min(chunk * 2, 256)
    for i = 1, #some do
      local key = some[i]
      local first, last
      if delimiter ~= '' then
        local stop = string.find(key, '\\0', #base + 1, true) or (#key + 1)
        local name = string.sub(key, #base + 1, stop - 1)
        first, last = string.find(name, delimiter, #prefix + 1, true)
        if first then
          local rolled = string.sub(name, 1, last)
          found[#found + 1], found[#found + 2], found[#found + 3] = 'p', rolled, ''
          min, chunk = '[' .. base .. rolled .. '\\255', 4
          break
        end
      end
      keys[#keys + 1], where[#where + 1] = key, #found + 3
      found[#found + 1], found[#found + 2], found[#found + 3] = 'e', key, ''
    end
  end
  local texts = values(keys)
  for i = 1, #keys do found[where[i]] = texts[i] end
  return found
end

local keys, ranges, scans, notes, order = {}, {}, {}, {}, 0
for i = 1, count() do keys[i] = take() end
for i = 1, count() do ranges[i] = range(take(), take(), count()) end
for i = 1, count() do scans[i] = scan(take(), take(), take(), take(), count()) end
for i = 1, count() do notes[i] = redis.call('GET', data .. ':buried:' .. take()) end
if take() == '1' then order = redis.call('HINCRBY', data, 'corder', 1) end
return {values(keys), ranges, scans, notes, order}
`);

/**
 * Arguments: expected records (key, 1 or 0 for "is there", value), the first being the instance · expected ranges
 * (start, end, limit, list of key and value) · objects that must not be buried · puts (key, value) · deletes · additions
 * (counter, difference) · objects to bury (id, note), seconds to remember them.
 *
 * Answer: 1; or, where something is not as expected and nothing was changed: the values of the expected records as they
 * are, 0 for a range, -1 for a buried object.
 */
export const commitScript = scriptOf(`
-- In pieces that fit on Lua's stack; an even number, since some lists are of pairs.
local function send(command, key, list)
  for first = 1, #list, 1000 do redis.call(command, key, unpack(list, first, math.min(first + 999, #list))) end
end

local keys, expected = {}, {}
for i = 1, count() do
  local key, present, value = take(), take(), take()
  keys[i], expected[i] = key, present == '1' and value
end
for first = 1, #keys, 1000 do
  local found = redis.call('HMGET', data, unpack(keys, first, math.min(first + 999, #keys)))
  for i = 1, #found do
    if found[i] ~= expected[first + i - 1] then
      for j = 1, #keys do expected[j] = redis.call('HGET', data, keys[j]) end
      return expected
    end
  end
end
for i = 1, count() do
  local found = redis.call('ZRANGEBYLEX', index, '[' .. take(), '(' .. take(), 'LIMIT', 0, count())
  if #found ~= count() then return 0 end
  for j = 1, #found do
    if found[j] ~= take() or redis.call('HGET', data, found[j]) ~= take() then return 0 end
  end
end
for i = 1, count() do
  if redis.call('EXISTS', data .. ':buried:' .. take()) == 1 then return -1 end
end
local puts, members, deletes = {}, {}, {}
for i = 1, 2 * count(), 2 do
  puts[i], puts[i + 1] = take(), take()
  members[i], members[i + 1] = 0, puts[i]
end
for i = 1, count() do deletes[i] = take() end
send('HSET', data, puts)
send('ZADD', index, members)
send('HDEL', data, deletes)
send('ZREM', index, deletes)
for i = 1, count() do redis.call('HINCRBY', data, take(), take()) end
local buried = {}
for i = 1, 2 * count() do buried[i] = take() end
local seconds = take()
for i = 1, #buried, 2 do redis.call('SET', data .. ':buried:' .. buried[i], buried[i + 1], 'EX', seconds) end
return 1
`);

/** Arguments: format, instance. Answer: the format and the instance that are there now. */
export const openScript = scriptOf(`
redis.call('HSETNX', data, 'mformat', take())
redis.call('HSETNX', data, 'minstance', take())
return redis.call('HMGET', data, 'mformat', 'minstance')
`);

function scriptOf(body: string): Script {
  const text = prelude + body;
  return { text, sha1: createHash("sha1").update(text).digest("hex") };
}
