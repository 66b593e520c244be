//! HTTP in and out, configuration, wiring.
