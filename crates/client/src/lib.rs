//! Talks to any Vault-compatible server; a KeyService for the envelope.
