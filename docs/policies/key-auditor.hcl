# Reads what keys there are, how old they are and what their versions were used for, and nothing else.
path "transit/keys" {
  capabilities = ["list"]
}

path "transit/keys/+/census" {
  capabilities = ["read"]
}

path "transit/keys/+/catalogs" {
  capabilities = ["list"]
}

path "transit/keys/+/catalogs/+" {
  capabilities = ["read"]
}

path "transit/census/caller" {
  capabilities = ["update"]
}

path "sys/keys/report" {
  capabilities = ["read"]
}
