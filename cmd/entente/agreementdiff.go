package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/words"
)

// Exit codes of diff, as of kubectl diff.
const (
	exitDiffers = 1
	exitTrouble = 2
)

func newAgreementDiffCommand(where *deskFlags) *cobra.Command {
	read := readFlags{where: where}
	cmd := &cobra.Command{
		Use:   "diff A [B]",
		Short: "Say what changes between two versions of an agreement: what becomes visible to whom, and what ceases",
		Long: `Compares two agreements, or two versions of one, in words: what becomes visible to whom and what ceases to be, and every
term that widens, narrows or otherwise changes. A and B are names or files. With A alone, it is compared with the version
that it supersedes, which is looked for in the same file, and then where the agency keeps its agreements.

The order of lists makes no difference, nor do the numbers of the versions.

Exit code: 0 when both agree on the same, 1 when they differ, 2 when something went wrong.`,
		Example: `  entente agreement diff anvil.v1 anvil.v2 -n state-police
  entente agreement diff anvil.v2 --config ./state-police
  entente agreement diff anvil.v1.yaml anvil.v2.yaml -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return &exitError{exitTrouble, fmt.Sprintf("diff takes one or two agreements, not %d", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := compareAgreements(cmd.Context(), where, args)
			if err != nil {
				return err
			}
			if err := read.print(cmd.OutOrStdout(), d, d.Text); err != nil {
				return err
			}
			if !d.Same() {
				return &exitError{code: exitDiffers}
			}
			return nil
		},
	}
	read.addOutput(cmd, "text", "json", "yaml")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return troubled(run(cmd, args)) }
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return troubled(err) })
	return cmd
}

// troubled keeps an error from passing for a difference, or for a fault that was found.
func troubled(err error) error {
	var exit *exitError
	if err == nil || errors.As(err, &exit) {
		return err
	}
	return &exitError{exitTrouble, err.Error()}
}

func compareAgreements(ctx context.Context, where *deskFlags, args []string) (*words.Diff, error) {
	shelves := make([]shelf, len(args))
	sides := make([]*v1alpha1.SharingAgreement, len(args))
	for i, arg := range args {
		var err error
		if shelves[i], sides[i], err = oneOf(ctx, where, arg); err != nil {
			return nil, err
		}
		if err := refuseUnknown(sides[i].Name, sides[i].Spec.UnknownFields); err != nil {
			return nil, err
		}
	}
	before, after := sides[0], sides[len(sides)-1]
	if len(args) == 1 {
		var err error
		if before, err = superseded(ctx, where, shelves[0], after); err != nil {
			return nil, err
		}
	}
	forces, err := taskForcesOf(ctx, shelves, before, after)
	if err != nil {
		return nil, err
	}
	return words.Compare(before, after, forces)
}

// oneOf gives the agreement that an argument means, and where it was found.
func oneOf(ctx context.Context, where *deskFlags, arg string) (shelf, *v1alpha1.SharingAgreement, error) {
	var s shelf
	name := arg
	if isFile(arg) {
		f, err := readShelf([]string{arg})
		if err != nil {
			return nil, nil, err
		}
		if s, name = f, ""; len(f.agreements) > 1 {
			name = latest(f.agreements).Name // a file with an amendment and what it supersedes is about the amendment
		}
	} else {
		d, err := where.open()
		if err != nil {
			return nil, nil, err
		}
		s = d
	}
	a, err := s.Agreement(ctx, name)
	return s, a, err
}

func latest(versions []*v1alpha1.SharingAgreement) *v1alpha1.SharingAgreement {
	last := versions[0]
	for _, a := range versions[1:] {
		if a.Spec.Terms.Version > last.Spec.Terms.Version {
			last = a
		}
	}
	return last
}

// superseded gives the version that an agreement supersedes.
func superseded(ctx context.Context, where *deskFlags, near shelf, a *v1alpha1.SharingAgreement) (*v1alpha1.SharingAgreement, error) {
	t := &a.Spec.Terms
	if t.Supersedes == 0 {
		return nil, fmt.Errorf("%s supersedes no version: name the agreement to compare it with", a.Name)
	}
	name := fmt.Sprintf("%s.v%d", t.ID, t.Supersedes)
	before, err := near.Agreement(ctx, name)
	if _, fromFile := near.(*fileShelf); err != nil && fromFile {
		d, err := where.open()
		if err != nil {
			return nil, fmt.Errorf("%s, which %s supersedes: %w", name, a.Name, err)
		}
		before, err = d.Agreement(ctx, name)
		return before, err
	}
	return before, err
}
