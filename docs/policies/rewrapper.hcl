# A job that moves ciphertexts of app to its newest version, and tells what is left. It sees no plaintext: it neither
# decrypts, nor encrypts, which `to_key` would ask of it.
path "transit/keys/app" {
  capabilities = ["read"]
}

path "transit/rewrap/app" {
  capabilities = ["update"]
}

path "transit/keys/app/catalogs/+" {
  capabilities = ["update"]
}
