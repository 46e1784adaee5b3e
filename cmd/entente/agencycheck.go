package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/connection"
	"github.com/entente-dev/entente/controllers/exchange"
	"github.com/entente-dev/entente/controllers/standalone"
	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
	gwvault "github.com/entente-dev/entente/gateway/vault"
)

func newAgencyCheckCommand(where *deskFlags) *cobra.Command {
	var f processFlags
	cmd := &cobra.Command{
		Use:   "check PEER",
		Short: "Find out whether another agency is reached, and name the mend for the first thing that fails",
		Long: `Walks the way to another agency as the operator would: name resolution, connection, who both sides are (certificates against the pinned
authorities, exact SPIFFE IDs), the exchange, clocks, releases, the terms that both have, a credential for an agreement in force (its key is
thrown away), and with it the other agency's gateway. Nothing is asked for records; 'entente explain' says what would become of a query.

In a cluster it takes the operator's flags and rights, and is best run in the operator's pod. With --config it is about the folder of
'entente standalone'.

The exit code is 0 when nothing failed, and 3 when something did.`,
		Example: `  entente agency check border-service --config state-police

  kubectl exec -n state-police deploy/entente-operator -- entente agency check border-service \
    --agency state-police --trust-domain police.example.gov --vault-address https://vault.example.gov:8200 --vault-mount-prefix state-police`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			c, x, stop, err := checker(ctx, where, &f)
			if err != nil {
				return err
			}
			defer stop()
			if err := aboutPeer(c, x, args[0]); err != nil {
				return err
			}
			if !connection.Check(ctx, *c, func(s connection.Step) { printStep(cmd.OutOrStdout(), s) }) {
				return &exitError{code: exitIncomplete}
			}
			return nil
		},
	}
	f.add(cmd, gwvault.RoleOperator)
	return cmd
}

// checker gives who we are, and what we know.
func checker(ctx context.Context, where *deskFlags, f *processFlags) (c *connection.Config, x *compile.Index, stop func(), err error) {
	c = &connection.Config{Now: time.Now}
	if where.config != "" {
		folder := standalone.Folder{ConfigDir: where.config, StateDir: where.state, Agency: f.agency}
		if c.Self, c.Own, err = folder.Operator(); err != nil {
			return nil, nil, nil, err
		}
		x, err = folder.Index()
		return c, x, func() {}, err
	}
	if f.agency == "" || f.trustDomain == "" {
		return nil, nil, nil, errors.New("give --config for a folder, or --agency and --trust-domain in a cluster")
	}
	if where.context != "" || where.as != "" {
		return nil, nil, nil, errors.New("--context and --as do not go with a check, which is the operator's: run it in the operator's pod")
	}
	config, own, stop, err := f.asOperator(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	c.Self, c.Own = route.Party{Agency: f.agency, TrustDomain: f.trustDomain}, own
	d, err := newClusterDesk(config, f.namespace)
	if err == nil {
		x, err = d.Index(ctx)
	}
	if err == nil {
		err = certified(ctx, own)
	}
	if err != nil {
		stop()
		return nil, nil, nil, err
	}
	return c, x, stop, nil
}

// certified waits for the first certificate, which comes from Vault.
func certified(ctx context.Context, own identity.Own) (err error) {
	for range 100 {
		if _, err = own.Certificate(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("own certificate: %w", err)
}

// aboutPeer fills in where the peer is, and what there is between the two.
func aboutPeer(c *connection.Config, x *compile.Index, name string) error {
	a := x.Agencies[name]
	switch {
	case name == c.Self.Agency:
		return fmt.Errorf("%s is this agency itself: name another", name)
	case a == nil:
		return fmt.Errorf("there is no agency %q here: see kubectl get agencies, or entente agency import", name)
	}
	if _, err := exchange.PeerOf(a); err != nil {
		return err
	}
	c.Peer = route.Peer{
		Party:   route.Party{Agency: a.Name, TrustDomain: a.Spec.TrustDomain},
		Gateway: a.Spec.Endpoints.Gateway, Exchange: a.Spec.Endpoints.Exchange, TrustBundle: a.Spec.TrustBundle,
	}
	c.Digests = map[string]string{}
	for _, versions := range x.Agreements {
		for _, agreement := range versions {
			if digest, err := agreement.Spec.Terms.Digest(); err == nil {
				c.Digests[agreement.Name] = digest
			}
			if agreement.Status.State == v1alpha1.StateInForce && receives(x, &agreement.Spec.Terms, name) {
				c.Agreement = max(c.Agreement, agreement.Spec.Terms.ID)
			}
		}
	}
	return nil
}

// receives says whether a clause of the source's names this agency as a recipient, by itself or as a member of a task force.
func receives(x *compile.Index, terms *v1alpha1.AgreementTerms, source string) bool {
	for _, clause := range terms.Clauses {
		if clause.Source != source {
			continue
		}
		for _, r := range clause.Recipients {
			if r.Agency == x.Self {
				return true
			}
			if r.TaskForce == nil {
				continue
			}
			force := x.TaskForces[fmt.Sprintf("%s.v%d", r.TaskForce.Name, r.TaskForce.Version)]
			if force != nil && slices.ContainsFunc(force.Spec.Members, func(m v1alpha1.TaskForceMember) bool { return m.Agency == x.Self }) {
				return true
			}
		}
	}
	return false
}

func printStep(w io.Writer, s connection.Step) {
	fmt.Fprintf(w, "%-12s %-10s %s\n", s.Name, s.State, sanitize(s.Found))
	if s.Mend != "" {
		fmt.Fprintf(w, "%-12s %-10s → %s\n", "", "", sanitize(s.Mend))
	}
}
