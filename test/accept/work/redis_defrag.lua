-- redis_defrag.lua: fills a redis with values of many sizes and kinds (load), or deletes three keys
-- in four, scattered (drop). Answers the number of keys.
local keys = 600000
if ARGV[1] == 'load' then
    for i = 1, keys do
        local key, size = 'key:' .. i, i * 7919 % 500
        if i % 50 == 0 then
            for j = 1, 20 do
                redis.call('HSET', key, 'field:' .. j, string.rep('h', 70 + size % 100))
            end
        elseif i % 51 == 0 then
            for j = 1, 10 do
                redis.call('RPUSH', key, string.rep('l', size))
            end
        else
            redis.call('SET', key, string.rep('s', 10 + size))
        end
    end
else
    for i = 1, keys do
        if (i * 40503 + i % 977 * 31) % 65536 % 4 ~= 0 then
            redis.call('UNLINK', 'key:' .. i)
        end
    end
end
return redis.call('DBSIZE')
