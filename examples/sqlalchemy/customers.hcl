# The program: wraps and unwraps its DEKs, and keeps its keyring. It can't rotate the key, nor use another one.
path "transit/encrypt/customers" {
  capabilities = ["update"]
}

path "transit/decrypt/customers" {
  capabilities = ["update"]
}

# Is there such a key, and what is its newest version?
path "transit/keys/customers" {
  capabilities = ["read"]
}

# A row for each DEK, and how much each was used.
path "secret/data/keyrings/customers" {
  capabilities = ["read", "update"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}
