# Agrees to the destruction of a key of transit/ that somebody else has asked for, or stops it. It asks for none and
# destroys none: a token with shredder.hcl as well approves nothing, since that denies it.
path "transit/keys/+/shred" {
  capabilities = ["read"]
}

path "transit/keys/+/shred/approve" {
  capabilities = ["update"]
}

path "transit/keys/+/shred/cancel" {
  capabilities = ["update"]
}

path "transit/shred/receipts" {
  capabilities = ["list"]
}

path "transit/shred/receipts/+" {
  capabilities = ["read"]
}
