# Makes backups and reads none of them. The read is for: is there such a key, and may envelopes under it open offline?
path "transit/encrypt/backups" {
  capabilities = ["update"]
}

path "transit/keys/backups" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}
