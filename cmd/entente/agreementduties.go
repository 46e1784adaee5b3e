package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/words"
)

func newAgreementDutiesCommand(where *deskFlags) *cobra.Command {
	read := readFlags{where: where}
	cmd := &cobra.Command{
		Use:   "duties [NAME] | duties -f FILE",
		Short: "Show what each party owes by when under an agreement, or what this agency owes under all of them",
		Long: `Shows the duties that follow from an agreement: the review, what terms.duties says, and the destruction of the records after
the end; who owes each, by when, and who attested it. Without NAME: what this agency owes and has not done yet, under all of
its agreements, the most urgent first. What another party attested is known as far as it came by the exchange.`,
		Example: `  entente agreement duties -n state-police
  entente agreement duties anvil.v1 --config ./state-police
  entente agreement decide anvil.v1 --attest access-review --role privacy-officer -n state-police`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args)+len(read.files) == 0 {
				return ownDuties(cmd, &read)
			}
			a, _, err := read.one(cmd.Context(), args)
			if err != nil {
				return err
			}
			if err := refuseUnknown(a.Name, a.Spec.UnknownFields); err != nil {
				return err
			}
			list, err := words.Duties(a)
			if err != nil {
				return err
			}
			return read.print(cmd.OutOrStdout(), list, func() string { return trimLines(words.DutiesText(list)) })
		},
	}
	read.addFiles(cmd)
	read.addOutput(cmd, "table", "json", "yaml")
	return cmd
}

// ownDuties prints what this agency owes under all of its agreements.
func ownDuties(cmd *cobra.Command, read *readFlags) error {
	d, err := read.where.open()
	if err != nil {
		return err
	}
	index, err := d.Index(cmd.Context())
	if err != nil {
		return err
	}
	open := words.OpenDuties(index)
	return read.print(cmd.OutOrStdout(), open, func() string {
		var out strings.Builder
		if len(open) == 0 {
			return fmt.Sprintf("%s owes nothing.\n", index.Self)
		}
		w := tabwriter.NewWriter(&out, 2, 8, 2, ' ', 0)
		writeOpenDuties(w, open)
		_ = w.Flush() // a strings.Builder does not fail
		return trimLines(out.String())
	})
}

func writeOpenDuties(w io.Writer, open []words.OpenDuty) {
	fmt.Fprintln(w, "AGREEMENT\tDUTY\tSTATE\tDUE\tWHAT")
	for _, o := range open {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", o.Agreement, o.Name, o.Stands(), o.DueText(), o.What)
	}
}

// mayAttest refuses what would be filed and not count.
func mayAttest(ctx context.Context, d desk, spec v1alpha1.AgreementDecisionSpec) error {
	index, err := d.Index(ctx)
	if err != nil {
		return err
	}
	a, err := d.Agreement(ctx, spec.Agreement)
	if err != nil {
		return err
	}
	duty, owed := compile.DutyOf(&a.Spec.Terms, index.Self, spec.Duty)
	switch {
	case len(owed) == 0:
		return fmt.Errorf("agency %s owes no duties under %s", index.Self, a.Name)
	case duty == nil:
		return fmt.Errorf("agency %s owes no duty %q under %s: it owes %s", index.Self, spec.Duty, a.Name, strings.Join(owed, ", "))
	}
	switch a.Status.State {
	case v1alpha1.StatePending, v1alpha1.StateInForce, v1alpha1.StateSuspended:
		if duty.EndsIt() {
			return fmt.Errorf("%s is %s: %s is attested after its end, and not before", a.Name, a.Status.State, spec.Duty)
		}
	case v1alpha1.StateProposed, v1alpha1.StateSigned:
		return fmt.Errorf("%s is %s: nothing is owed under it before every party has signed", a.Name, a.Status.State)
	}
	return nil
}
