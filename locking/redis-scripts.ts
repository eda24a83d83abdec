/**
 * The Lua side of redis-locks.ts. A lock is a hash {owner, token} that expires with its time to live.
 *
 * Tokens: the last one of a key is kept under a second name for a day. After that, or after the server
 * lost its memory, a counter would start at 1 again, below what the last holder has; so a new token is
 * also never less than the server's time in microseconds. Only a server that forgets and whose
 * clock goes back can still issue a smaller one. It stays exact in a double until the year 2255.
 */
const TOKEN_MEMORY_MS = 86_400_000;

/** KEYS: n locks, then their n tokens. ARGV: owner, time to live in ms. All are checked before any is taken. */
export const ACQUIRE = `
local owner, ttl, n = ARGV[1], ARGV[2], #KEYS / 2
for i = 1, n do
  local holder = redis.call('HGET', KEYS[i], 'owner')
  if holder and holder ~= owner then return { 'busy', i, redis.call('PTTL', KEYS[i]) } end
end
local time = redis.call('TIME')
local floor = time[1] * 1000000 + time[2]
local answer = { 'acquired' }
for i = 1, n do
  local token = redis.call('HGET', KEYS[i], 'token')
  if not token then
    local last = tonumber(redis.call('GET', KEYS[n + i]) or '0')
    token = string.format('%.0f', math.max(floor, last + 1))
    redis.call('HSET', KEYS[i], 'owner', owner, 'token', token)
    redis.call('SET', KEYS[n + i], token, 'PX', ${TOKEN_MEMORY_MS})
  end
  redis.call('PEXPIRE', KEYS[i], ttl)
  answer[i + 1] = token
end
return answer`;

/** KEYS: the locks. ARGV: owner, time to live in ms. */
export const RENEW = `
for i = 1, #KEYS do
  if redis.call('HGET', KEYS[i], 'owner') ~= ARGV[1] then return 0 end
end
for i = 1, #KEYS do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
return 1`;

/** KEYS: the locks. ARGV: owner. */
export const RELEASE = `
local released = 0
for i = 1, #KEYS do
  if redis.call('HGET', KEYS[i], 'owner') == ARGV[1] then released = released + redis.call('DEL', KEYS[i]) end
end
return released`;
