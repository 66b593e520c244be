# A token without the default policy that keeps itself alive.
path "auth/token/renew-self" {
  capabilities = ["update"]
}
