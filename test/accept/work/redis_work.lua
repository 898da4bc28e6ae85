-- redis_work.lua: lists, hashes, sorted sets, sets, deletes and growing strings inside redis.
for i = 1, 20000 do
    redis.call('RPUSH', 'list' .. i % 10, i)
    redis.call('HSET', 'hash' .. i % 100, 'f' .. i, i * i)
    redis.call('ZADD', 'zset', i * 7919 % 10007, 'm' .. i)
    redis.call('SADD', 'set' .. i % 7, i)
    if i % 3 == 0 then
        redis.call('DEL', 'key:' .. i)
    end
    if i % 5 == 0 then
        redis.call('SETRANGE', 'key:' .. i, i % 3000, 'tail')
    end
end
return redis.sha1hex(table.concat(redis.call('LRANGE', 'list3', 0, -1), ','))
