// Package bootstrap sets Vault up for one agency: mounts, keys, roles, policies and logins, least privilege each. It compares
// before it writes, so that running it again changes nothing, shows what differs, and mends it.
package bootstrap

import (
	"context"
	"errors"
	"fmt"

	gwvault "github.com/entente-dev/entente/gateway/vault"
)

// Action is what a step does, or would do.
type Action string

// Actions.
const (
	Create    Action = "create"
	Change    Action = "change"
	Unchanged Action = "unchanged"
)

// Change is one step of a plan.
type Step struct {
	Action Action `json:"action"`
	// Kind: secrets engine, certificate authority, key, PKI role, policy, auth method, auth role, database connection.
	Kind string `json:"kind"`
	// Path in Vault.
	Path string `json:"path"`
	// Differs names what is otherwise than it should be.
	Differs []string `json:"differs,omitempty"`
}

// Report is what a run did, or with DryRun would do.
type Report struct {
	Agency string `json:"agency"`
	DryRun bool   `json:"dryRun"`
	Steps  []Step `json:"steps"`
}

// Count counts the steps with an action.
func (r *Report) Count(a Action) int {
	n := 0
	for _, s := range r.Steps {
		if s.Action == a {
			n++
		}
	}
	return n
}

// step is one thing to look at and to put right.
type step struct {
	kind, path string
	// inspect says what is to be done; it writes nothing.
	inspect func(ctx context.Context) (Action, []string, error)
	// apply does it.
	apply func(ctx context.Context, a Action) error
}

// ErrConflict: something of another kind is where Entente's would be, or is as it cannot be changed to be. Nothing of it was
// touched.
var ErrConflict = errors.New("cannot be mended by bootstrap")

// Run looks at each part and puts right what is not as it should be, in order; with opts.DryRun it only looks. A report comes
// back with an error too: it has the steps up to it.
func Run(ctx context.Context, s *gwvault.Session, opts Options) (*Report, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	report := &Report{Agency: opts.Agency, DryRun: opts.DryRun}
	if err := s.Login(ctx); err != nil {
		return report, err
	}
	b := &bootstrapper{session: s, mounts: opts.Mounts, opts: opts}
	for _, st := range b.steps() {
		action, differs, err := st.inspect(ctx)
		if err != nil {
			return report, fmt.Errorf("%s %s: %w", st.kind, st.path, err)
		}
		if action != Unchanged && !opts.DryRun {
			if err := st.apply(ctx, action); err != nil {
				return report, fmt.Errorf("%s %s: %w", st.kind, st.path, err)
			}
		}
		report.Steps = append(report.Steps, Step{Action: action, Kind: st.kind, Path: st.path, Differs: differs})
	}
	return report, nil
}
