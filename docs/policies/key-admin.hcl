# Makes, rotates and retires the keys of the mount transit/, and uses none of them. No material leaves: keys that can be
# exported or backed up in clear are not made, and neither is asked of one that others made so.
path "transit/keys" {
  capabilities = ["list"]
}

path "transit/keys/+" {
  capabilities = ["read", "update", "delete"]
  denied_parameters = {
    "exportable"             = []
    "allow_plaintext_backup" = []
  }
}

path "transit/keys/+/config" {
  capabilities = ["update"]
  denied_parameters = {
    "exportable"             = []
    "allow_plaintext_backup" = []
  }
}

path "transit/keys/+/rotate" {
  capabilities = ["update"]
}

path "transit/keys/+/census" {
  capabilities = ["read"]
}

path "transit/keys/+/catalogs" {
  capabilities = ["list"]
}

path "transit/keys/+/catalogs/+" {
  capabilities = ["read", "delete"]
}

path "transit/keys/+/retire" {
  capabilities = ["update"]
}

path "transit/keys/+/trim" {
  capabilities = ["update"]
}

path "transit/keys/+/compromised" {
  capabilities = ["update"]
}

path "transit/keys/+/compromised/+" {
  capabilities = ["delete"]
}
