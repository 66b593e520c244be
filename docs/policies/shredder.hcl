# Asks for the destruction of keys of transit/, and destroys them once somebody else has approved. It reads what still
# needs them and keeps the receipts. It approves nothing, and uses no key.
path "transit/keys/+/shred" {
  capabilities = ["read", "update"]
}

path "transit/keys/+/shred/cancel" {
  capabilities = ["update"]
}

path "transit/keys/+/shred/destroy" {
  capabilities = ["update"]
}

path "transit/keys/+/shred/approve" {
  capabilities = ["deny"]
}

path "transit/shred/receipts" {
  capabilities = ["list"]
}

path "transit/shred/receipts/+" {
  capabilities = ["read"]
}
