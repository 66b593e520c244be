-- One line that bench/measure reads: requests, microseconds, 99th percentile in microseconds, failed answers,
-- failed connections.
function done(summary, latency, requests)
    local failed = summary.errors
    io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
        latency:percentile(99.0), failed.status,
        failed.connect + failed.read + failed.write + failed.timeout))
end
