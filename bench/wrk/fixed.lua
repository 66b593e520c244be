-- The same request again and again: BENCH_METHOD, BENCH_BODY, BENCH_TOKEN.
wrk.method = os.getenv("BENCH_METHOD") or "GET"
wrk.body = os.getenv("BENCH_BODY")
if wrk.body then
    wrk.headers["Content-Type"] = "application/json"
end
if os.getenv("BENCH_TOKEN") then
    wrk.headers["X-Vault-Token"] = os.getenv("BENCH_TOKEN")
end

dofile(os.getenv("BENCH_LUA") .. "/report.lua")
