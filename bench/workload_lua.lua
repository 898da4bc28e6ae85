-- A lua workload for the benchmark: binary trees, string tables, sorting. The argument is the
-- number of rounds; the last line printed is a checksum, the same under every allocator.

local function tree_make(depth)
    if depth == 0 then
        return {}
    end
    return {tree_make(depth - 1), tree_make(depth - 1)}
end

local function tree_count(tree)
    if not tree[1] then
        return 1
    end
    return 1 + tree_count(tree[1]) + tree_count(tree[2])
end

local function strings_run(round)
    local index = {}
    for i = 1, 40000 do
        local key = string.format("key %d of round %d", i * 7919 % 100003, round)
        index[#index + 1] = key:gsub("%d+", function(digits) return digits:reverse() end)
    end
    table.sort(index)
    local joined = table.concat(index, ",")
    local length = 0
    for word in joined:gmatch("[^,]+") do
        length = length + #word
    end
    return length
end

local rounds = tonumber(arg[1]) or 10
local keep = tree_make(14)
local checksum = 0
for round = 1, rounds do
    checksum = checksum + tree_count(tree_make(15)) + strings_run(round)
end
print(checksum + tree_count(keep))
