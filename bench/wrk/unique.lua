-- A write to a path of its own for every request: BENCH_PREFIX, thread, count.
local threads = 0

function setup(thread)
    thread:set("id", threads)
    threads = threads + 1
end

function init()
    prefix = os.getenv("BENCH_PREFIX") .. id .. "-"
    count = 0
    wrk.method = "POST"
    dofile(os.getenv("BENCH_LUA") .. "/body.lua")
    wrk.headers["X-Vault-Token"] = os.getenv("BENCH_TOKEN")
end

function request()
    count = count + 1
    return wrk.format(nil, prefix .. count)
end

dofile(os.getenv("BENCH_LUA") .. "/report.lua")
