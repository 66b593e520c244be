-- What is sent: the text of the file BENCH_BODY_FILE, as JSON; nothing without it.
local path = os.getenv("BENCH_BODY_FILE")
if path then
    local file = assert(io.open(path, "r"))
    wrk.body = file:read("*a")
    file:close()
    wrk.headers["Content-Type"] = "application/json"
end
