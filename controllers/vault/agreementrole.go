package vault

import (
	"context"
	"fmt"

	"github.com/entente-dev/entente/controllers/compile"
)

// EnsureAgreementRole writes the PKI role that signs for one recipient under one agreement, and for nobody else.
func (c *Client) EnsureAgreementRole(ctx context.Context, cred compile.Credential) error {
	if !nameRE.MatchString(cred.Agreement) || !nameRE.MatchString(cred.Recipient) || cred.Role != compile.AgreementRole(cred.Agreement, cred.Recipient) {
		return fmt.Errorf("%w: PKI role %q of agreement %q and recipient %q", ErrName, cred.Role, cred.Agreement, cred.Recipient)
	}
	if want := compile.AgreementSPIFFEID(c.cfg.TrustDomain, cred.Agreement, cred.Recipient); cred.SPIFFEID != want {
		return fmt.Errorf("%w: PKI role %s is for %s, not %s", ErrName, cred.Role, want, cred.SPIFFEID)
	}
	return c.ensureRole(ctx, c.agreementRolePath(cred.Role), AgreementRoleFields(cred.SPIFFEID))
}

// AgreementRoleFields is every field of the PKI role that may sign exactly one SPIFFE ID. The values are strings and booleans
// because the operator's policy pins all of them but allowed_uri_sans, and Vault compares what it is sent by value and type.
func AgreementRoleFields(spiffeID string) map[string]any {
	f := PKIRoleFields()
	f["allowed_uri_sans"] = spiffeID
	f["client_flag"] = true
	f["max_ttl"] = "3600s"
	f["ttl"] = "3600s"
	f["no_store"] = true
	return f
}

// PKIRoleFields is a PKI role that may sign nothing: what a role is for is added to it. It has every field that a role has.
func PKIRoleFields() map[string]any {
	return map[string]any{
		"allow_any_name":                     false,
		"allow_bare_domains":                 false,
		"allow_glob_domains":                 false,
		"allow_ip_sans":                      false,
		"allow_localhost":                    false,
		"allow_subdomains":                   false,
		"allow_wildcard_certificates":        false,
		"allowed_domains":                    "",
		"allowed_domains_template":           false,
		"allowed_other_sans":                 "",
		"allowed_serial_numbers":             "",
		"allowed_uri_sans":                   "",
		"allowed_uri_sans_template":          false,
		"allowed_user_ids":                   "",
		"basic_constraints_valid_for_non_ca": false,
		"client_flag":                        false,
		"cn_validations":                     "disabled",
		"code_signing_flag":                  false,
		"country":                            "",
		"email_protection_flag":              false,
		"enforce_hostnames":                  true,
		"ext_key_usage":                      "",
		"ext_key_usage_oids":                 "",
		"generate_lease":                     false,
		"issuer_ref":                         "default",
		"key_bits":                           "0",
		"key_type":                           "any", // EC or Ed25519 in fact: whoever asks for a signature bounds the key
		"key_usage":                          "DigitalSignature",
		"locality":                           "",
		"max_ttl":                            "3600s",
		"no_store":                           true,
		"not_after":                          "",
		"not_before_duration":                "30s",
		"organization":                       "",
		"ou":                                 "",
		"policy_identifiers":                 "",
		"postal_code":                        "",
		"province":                           "",
		"require_cn":                         false,
		"serial_number_source":               "json",
		"server_flag":                        false,
		"signature_bits":                     "0",
		"street_address":                     "",
		"ttl":                                "3600s",
		"use_csr_common_name":                false,
		"use_csr_sans":                       false,
		"use_pss":                            false,
	}
}
