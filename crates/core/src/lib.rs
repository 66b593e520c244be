//! Seal lifecycle, barrier, pipeline, tokens, policy, mounts, audit; the port traits. No HTTP.
