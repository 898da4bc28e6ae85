-- lua_work.lua: tables, strings, coroutines, closures and the collector in both of its modes.
local function next_random(seed)
    return (seed * 1103515245 + 12345) % 2147483648
end

local function fill(mode)
    collectgarbage(mode)
    local seed, kept, sum = 7, {}, 0
    for i = 1, 120000 do
        seed = next_random(seed)
        local key = seed % 5003
        kept[key] = { id = i, text = string.rep("x", seed % 60), list = { i, i + 1, i + 2 } }
        sum = sum + #kept[key].text + kept[key].list[3]
    end
    local count = 0
    for _ in pairs(kept) do
        count = count + 1
    end
    print(mode, count, sum)
end
fill("generational")
fill("incremental")

local parts = {}
for i = 1, 20000 do
    parts[#parts + 1] = ("%d:%s"):format(i, ("abc"):rep(i % 5))
end
local text = table.concat(parts, ",")
print(#text, select(2, text:gsub("abcabc", "-")), #text:upper():reverse())

local function walk(depth)
    if depth == 0 then
        coroutine.yield(1)
    else
        walk(depth - 1)
        walk(depth - 1)
    end
end
local leaves = 0
for value in coroutine.wrap(function() walk(14) end) do
    leaves = leaves + value
end
print("leaves", leaves)

table.sort(parts, function(a, b) return a > b end)
print(parts[1], parts[#parts])
local weak = setmetatable({}, { __mode = "v" })
for i = 1, 1000 do
    weak[i] = {}
end
collectgarbage()
print("weak", next(weak))
