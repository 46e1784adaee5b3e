package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	vault "github.com/entente-dev/entente/controllers/vault"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

type bootstrapper struct {
	session *gwvault.Session
	mounts  gwvault.Mounts
	opts    Options
}

// steps are everything, in an order in which each finds what it needs.
func (b *bootstrapper) steps() []step {
	o, m := b.opts, b.mounts
	var out []step
	if o.PKIExisting {
		out = append(out, b.existingPKI())
	} else {
		out = append(out, b.mount(m.PKI(), "pki", "Entente: identities and agreement credentials of "+o.Agency, identityTTL), b.root())
	}
	out = append(out,
		b.fields("PKI role", m.PKI()+"/roles/"+gwvault.RoleGateway, b.identityRole(gwvault.RoleGateway, o.GatewayNames)),
		b.fields("PKI role", m.PKI()+"/roles/"+gwvault.RoleOperator, b.identityRole(gwvault.RoleOperator, nil)),
		b.mount(m.Transit(), "transit", "Entente: signing keys of "+o.Agency, 0),
		b.key(gwvault.AgreementKey(o.Agency), "ecdsa-p256"),
		b.key(gwvault.RouteKey(o.Agency), "ed25519"),
		b.key(gwvault.LogKey(o.Agency), "aes256-gcm96"),
		b.mount(m.Database(), "database", "Entente: source credentials of "+o.Agency, 0),
		b.kv(),
	)
	for _, d := range o.Databases {
		out = append(out, b.connection(d))
	}
	out = append(out,
		b.policy(gwvault.RoleOperator, OperatorPolicy(o.Agency, o.TrustDomain, m)),
		b.policy(gwvault.RoleGateway, GatewayPolicy(o.Agency, m)),
	)
	if k := o.Kubernetes; k != nil {
		out = append(out,
			b.authMount(),
			b.fields("auth method", "auth/"+m.JWT()+"/config", jwtConfig(k)),
			b.fields("auth role", "auth/"+m.JWT()+"/role/"+gwvault.RoleOperator, b.jwtRole(gwvault.RoleOperator, o.OperatorServiceAccount)),
			b.fields("auth role", "auth/"+m.JWT()+"/role/"+gwvault.RoleGateway, b.jwtRole(gwvault.RoleGateway, o.GatewayServiceAccount)),
		)
	}
	return out
}

// fields is something that one write makes exactly what it should be.
func (b *bootstrapper) fields(kind, path string, want map[string]any) step {
	return step{
		kind: kind, path: path,
		inspect: func(ctx context.Context) (Action, []string, error) {
			stored, err := b.session.Read(ctx, path)
			if errors.Is(err, gwvault.ErrNotFound) || (isAuth(path) && errors.Is(err, gwvault.ErrInvalid)) {
				return Create, nil, nil
			}
			if err != nil {
				return "", nil, err
			}
			if d := vault.Differences(want, stored.Data); len(d) > 0 {
				return Change, d, nil
			}
			return Unchanged, nil, nil
		},
		apply: func(ctx context.Context, _ Action) error {
			_, err := b.session.Write(ctx, path, want)
			return err
		},
	}
}

// isAuth: of an auth method that is not mounted Vault says "no handler for route" with another status than for engines.
func isAuth(path string) bool { return strings.HasPrefix(path, "auth/") }

func (b *bootstrapper) mount(path, kind, description string, maxTTL time.Duration) step {
	return step{
		kind: "secrets engine", path: path,
		inspect: func(ctx context.Context) (Action, []string, error) {
			info, err := b.mounted(ctx, "sys/mounts", path)
			if err != nil || info == nil {
				return Create, nil, err
			}
			if info["type"] != kind {
				return "", nil, fmt.Errorf("%w: a %v engine is mounted there", ErrConflict, info["type"])
			}
			conf, _ := info["config"].(map[string]any)
			if maxTTL > 0 && fmt.Sprint(conf["max_lease_ttl"]) != fmt.Sprint(int64(maxTTL/time.Second)) {
				return Change, []string{"max_lease_ttl"}, nil
			}
			return Unchanged, nil, nil
		},
		apply: func(ctx context.Context, a Action) error {
			if a == Change {
				return b.tune(ctx, path, maxTTL)
			}
			conf := map[string]any{}
			if maxTTL > 0 {
				conf["max_lease_ttl"] = seconds(maxTTL)
			}
			_, err := b.session.Write(ctx, "sys/mounts/"+path, map[string]any{"type": kind, "description": description, "config": conf})
			return err
		},
	}
}

// kv has the secrets that people write for the gateway: those of HTTP services.
func (b *bootstrapper) kv() step {
	st := b.mount(b.mounts.KV(), "kv", "", 0)
	inspect := st.inspect
	st.inspect = func(ctx context.Context) (Action, []string, error) {
		action, differs, err := inspect(ctx)
		if err != nil || action != Unchanged {
			return action, differs, err
		}
		info, err := b.mounted(ctx, "sys/mounts", b.mounts.KV())
		if err != nil {
			return "", nil, err
		}
		if options, _ := info["options"].(map[string]any); options["version"] != "2" {
			return "", nil, fmt.Errorf("%w: a key-value engine of another version is mounted there", ErrConflict)
		}
		return Unchanged, nil, nil
	}
	st.apply = func(ctx context.Context, _ Action) error {
		_, err := b.session.Write(ctx, "sys/mounts/"+b.mounts.KV(), map[string]any{
			"type": "kv", "description": "Entente: secrets of HTTP services of " + b.opts.Agency, "options": map[string]any{"version": "2"},
		})
		return err
	}
	return st
}

func (b *bootstrapper) tune(ctx context.Context, path string, maxTTL time.Duration) error {
	_, err := b.session.Write(ctx, "sys/mounts/"+path+"/tune", map[string]any{"max_lease_ttl": seconds(maxTTL)})
	return err
}

func (b *bootstrapper) mounted(ctx context.Context, table, path string) (map[string]any, error) {
	s, err := b.session.Read(ctx, table)
	if err != nil {
		return nil, err
	}
	info, _ := s.Data[path+"/"].(map[string]any)
	return info, nil
}

func (b *bootstrapper) existingPKI() step {
	path := b.mounts.PKI()
	return step{
		kind: "secrets engine", path: path,
		inspect: func(ctx context.Context) (Action, []string, error) {
			if _, err := b.session.TrustBundle(ctx); err != nil {
				return "", nil, fmt.Errorf("%w: no PKI engine with an authority is there: %w", ErrConflict, err)
			}
			return Unchanged, nil, nil
		},
	}
}

// root is the agency's certificate authority: made once, then left alone. It can vouch for no URI outside the trust domain.
func (b *bootstrapper) root() step {
	pki := b.mounts.PKI()
	return step{
		kind: "certificate authority", path: pki + "/issuers",
		inspect: func(ctx context.Context) (Action, []string, error) {
			issuers, err := b.session.List(ctx, pki+"/issuers")
			if err != nil {
				return "", nil, err
			}
			if len(issuers) == 0 {
				return Create, nil, nil
			}
			return Unchanged, nil, nil
		},
		apply: func(ctx context.Context, _ Action) error {
			// The engine's greatest lifetime, which otherwise bounds every leaf, must let the root live longer once.
			if err := b.tune(ctx, pki, rootTTL); err != nil {
				return err
			}
			_, err := b.session.Write(ctx, pki+"/root/generate/internal", map[string]any{
				"common_name":           "Entente " + b.opts.Agency,
				"issuer_name":           "entente-1",
				"key_type":              "ec",
				"key_bits":              256,
				"ttl":                   seconds(rootTTL),
				"exclude_cn_from_sans":  true,
				"permitted_uri_domains": b.opts.TrustDomain,
				"max_path_length":       0,
			})
			return errors.Join(err, b.tune(ctx, pki, identityTTL))
		},
	}
}

// identityRole signs for one process of the agency, as server and as client.
func (b *bootstrapper) identityRole(role string, names []string) map[string]any {
	f := vault.PKIRoleFields()
	f["allowed_uri_sans"] = "spiffe://" + b.opts.TrustDomain + "/" + role
	f["client_flag"], f["server_flag"] = true, true
	f["ttl"], f["max_ttl"] = seconds(identityTTL), seconds(identityTTL)
	var dns []string
	for _, n := range names {
		if net.ParseIP(n) != nil {
			f["allow_ip_sans"] = true
		} else {
			dns = append(dns, strings.ToLower(n))
		}
	}
	if len(dns) > 0 {
		f["allowed_domains"] = dns
		f["allow_bare_domains"] = true
	}
	return f
}

func (b *bootstrapper) key(name, kind string) step {
	path := b.mounts.Transit() + "/keys/" + name
	return step{
		kind: "key", path: path,
		inspect: func(ctx context.Context) (Action, []string, error) {
			s, err := b.session.Read(ctx, path)
			if errors.Is(err, gwvault.ErrNotFound) {
				return Create, nil, nil
			}
			if err != nil {
				return "", nil, err
			}
			switch {
			case s.Data["type"] != kind:
				return "", nil, fmt.Errorf("%w: it is of type %v, not %s", ErrConflict, s.Data["type"], kind)
			case s.Data["exportable"] != false || s.Data["allow_plaintext_backup"] != false:
				return "", nil, fmt.Errorf("%w: it can be exported, which Vault never takes back", ErrConflict)
			case s.Data["deletion_allowed"] != false:
				return Change, []string{"deletion_allowed"}, nil
			}
			return Unchanged, nil, nil
		},
		apply: func(ctx context.Context, a Action) error {
			if a == Create {
				_, err := b.session.Write(ctx, path, map[string]any{"type": kind, "exportable": false, "allow_plaintext_backup": false})
				return err
			}
			_, err := b.session.Write(ctx, path+"/config", map[string]any{"deletion_allowed": false})
			return err
		},
	}
}

func (b *bootstrapper) policy(role, text string) step {
	return b.fields("policy", "sys/policies/acl/"+PolicyName(b.opts.Agency, role), map[string]any{"policy": text})
}

func (b *bootstrapper) authMount() step {
	path := b.mounts.JWT()
	return step{
		kind: "auth method", path: "auth/" + path,
		inspect: func(ctx context.Context) (Action, []string, error) {
			info, err := b.mounted(ctx, "sys/auth", path)
			if err != nil || info == nil {
				return Create, nil, err
			}
			if info["type"] != "jwt" {
				return "", nil, fmt.Errorf("%w: the %v method is mounted there", ErrConflict, info["type"])
			}
			return Unchanged, nil, nil
		},
		apply: func(ctx context.Context, _ Action) error {
			_, err := b.session.Write(ctx, "sys/auth/"+path, map[string]any{"type": "jwt", "description": "Entente: service accounts of " + b.opts.Agency})
			return err
		},
	}
}

func jwtConfig(k *Kubernetes) map[string]any {
	keys := []string{}
	for _, pem := range k.PublicKeys {
		keys = append(keys, strings.TrimSpace(pem)) // as Vault gives it back
	}
	return map[string]any{
		"bound_issuer":           k.Issuer,
		"jwks_url":               k.JWKSURL,
		"jwks_ca_pem":            k.JWKSCA,
		"jwt_validation_pubkeys": keys,
		"jwt_supported_algs":     []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"},
	}
}

// jwtRole lets one service account in. The token has no default policy: what it may do with itself stands in its own.
func (b *bootstrapper) jwtRole(role, account string) map[string]any {
	return map[string]any{
		"role_type":               "jwt",
		"user_claim":              "sub",
		"bound_subject":           "system:serviceaccount:" + b.opts.Namespace + ":" + account,
		"bound_audiences":         []string{b.opts.Audience},
		"token_policies":          []string{PolicyName(b.opts.Agency, role)},
		"token_no_default_policy": true,
		"token_type":              "service",
		"token_ttl":               seconds(tokenTTL),
		"token_max_ttl":           seconds(tokenMaxTTL),
		"token_explicit_max_ttl":  "0s",
		"token_period":            "0s",
		"token_num_uses":          "0",
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%ds", int64(d/time.Second)) }
