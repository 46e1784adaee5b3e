# What the Entente operator of state-police may do. Written by `entente bootstrap vault`.

# Its own X.509 identity, and agreement credentials.
path "entente/pki/sign/*" {
  capabilities = ["update"]
}

# It is not the gateway.
path "entente/pki/sign/gateway" {
  capabilities = ["deny"]
}

# The authorities of its own trust domain.
path "entente/pki/cert/ca_chain" {
  capabilities = ["read"]
}

# PKI roles of agreements: client certificates for agreement SPIFFE IDs of the own trust domain, and nothing else.
path "entente/pki/roles/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
  allowed_parameters = {
    allow_any_name                     = [false]
    allow_bare_domains                 = [false]
    allow_glob_domains                 = [false]
    allow_ip_sans                      = [false]
    allow_localhost                    = [false]
    allow_subdomains                   = [false]
    allow_wildcard_certificates        = [false]
    allowed_domains                    = [""]
    allowed_domains_template           = [false]
    allowed_other_sans                 = [""]
    allowed_serial_numbers             = [""]
    allowed_uri_sans                   = ["spiffe://police.example.gov/agreement/*"]
    allowed_uri_sans_template          = [false]
    allowed_user_ids                   = [""]
    basic_constraints_valid_for_non_ca = [false]
    client_flag                        = [true]
    cn_validations                     = ["disabled"]
    code_signing_flag                  = [false]
    country                            = [""]
    email_protection_flag              = [false]
    enforce_hostnames                  = [true]
    ext_key_usage                      = [""]
    ext_key_usage_oids                 = [""]
    generate_lease                     = [false]
    issuer_ref                         = ["default"]
    key_bits                           = ["0"]
    key_type                           = ["any"]
    key_usage                          = ["DigitalSignature"]
    locality                           = [""]
    max_ttl                            = ["3600s"]
    no_store                           = [true]
    not_after                          = [""]
    not_before_duration                = ["30s"]
    organization                       = [""]
    ou                                 = [""]
    policy_identifiers                 = [""]
    postal_code                        = [""]
    province                           = [""]
    require_cn                         = [false]
    serial_number_source               = ["json"]
    server_flag                        = [false]
    signature_bits                     = ["0"]
    street_address                     = [""]
    ttl                                = ["3600s"]
    use_csr_common_name                = [false]
    use_csr_sans                       = [false]
    use_pss                            = [false]
  }
  denied_parameters = {
    allowed_uri_sans = ["*,*"]
  }
}

# The roles of the two processes are not the operator's to change.
path "entente/pki/roles/gateway" {
  capabilities = ["read"]
}

path "entente/pki/roles/operator" {
  capabilities = ["read"]
}

# Signing agreements.
path "entente/transit/keys/state-police-agreements" {
  capabilities = ["read"]
}

path "entente/transit/sign/state-police-agreements/sha2-256" {
  capabilities = ["update"]
}

# Signing gateway routes.
path "entente/transit/keys/state-police-routes" {
  capabilities = ["read"]
}

path "entente/transit/sign/state-police-routes" {
  capabilities = ["update"]
}

# Database roles of agreements.
path "entente/database/roles/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}

# A user without any rights, to see which columns a relation has.
path "entente/database/creds/entente_probe.*" {
  capabilities = ["read"]
}

# Ending source credentials, and seeing that they are gone.
path "sys/leases/revoke-prefix/entente/database/creds/*" {
  capabilities = ["update", "sudo"]
}

path "sys/leases/lookup/entente/database/creds/*" {
  capabilities = ["list", "sudo"]
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
