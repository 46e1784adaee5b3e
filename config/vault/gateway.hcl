# What the Entente gateways of state-police may do. Written by `entente bootstrap vault`.

# Its own X.509 identity.
path "entente/pki/sign/gateway" {
  capabilities = ["update"]
}

# The authorities of its own trust domain.
path "entente/pki/cert/ca_chain" {
  capabilities = ["read"]
}

# The public keys that verify gateway routes.
path "entente/transit/keys/state-police-routes" {
  capabilities = ["read"]
}

# Wrapping the data keys of its own log.
path "entente/transit/encrypt/state-police-log" {
  capabilities = ["update"]
}

path "entente/transit/decrypt/state-police-log" {
  capabilities = ["update"]
}

# Source credentials.
path "entente/database/creds/*" {
  capabilities = ["read"]
}

# Secrets of its own HTTP services.
path "entente/kv/data/sources/*" {
  capabilities = ["read"]
}

# Reading catalogues is the operator's business.
path "entente/database/creds/entente_probe.*" {
  capabilities = ["deny"]
}

# Its own token.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}
