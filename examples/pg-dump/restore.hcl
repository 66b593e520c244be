# Reads backups.
path "transit/decrypt/backups" {
  capabilities = ["update"]
}
