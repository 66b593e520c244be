-- The same request again and again: BENCH_METHOD, BENCH_BODY_FILE, BENCH_TOKEN.
wrk.method = os.getenv("BENCH_METHOD") or "GET"
dofile(os.getenv("BENCH_LUA") .. "/body.lua")
if os.getenv("BENCH_TOKEN") then
    wrk.headers["X-Vault-Token"] = os.getenv("BENCH_TOKEN")
end

dofile(os.getenv("BENCH_LUA") .. "/report.lua")
