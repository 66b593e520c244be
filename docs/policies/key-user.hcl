# A service that works with its key, app, and changes nothing about it. Without `create`, a misspelt name makes no key.
path "transit/encrypt/app" {
  capabilities = ["update"]
}

path "transit/decrypt/app" {
  capabilities = ["update"]
}

path "transit/datakey/+/app" {
  capabilities = ["update"]
}

path "transit/hmac/app" {
  capabilities = ["update"]
}

path "transit/verify/app" {
  capabilities = ["update"]
}
