package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/controllers/words"
)

func newAgreementShowCommand(where *deskFlags) *cobra.Command {
	read := readFlags{where: where}
	cmd := &cobra.Command{
		Use:   "show NAME | show -f FILE",
		Short: "Show an agreement in words: who may see what, on which conditions, and where it stands",
		Example: `  entente agreement show anvil.v1 -n state-police
  entente agreement show anvil.v1 --config ./state-police
  entente agreement show -f anvil.v1.yaml --agencies state-police.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, agencies, forces, err := read.oneInWords(cmd.Context(), args)
			if err != nil {
				return err
			}
			d, err := words.Describe(a, agencies, forces, time.Now())
			if err != nil {
				return err
			}
			return read.print(cmd.OutOrStdout(), d, d.Text)
		},
	}
	read.addFiles(cmd)
	read.addAgencies(cmd)
	read.addOutput(cmd, "text", "json", "yaml")
	return cmd
}

func newAgreementVerifyCommand(where *deskFlags) *cobra.Command {
	read := readFlags{where: where}
	cmd := &cobra.Command{
		Use:   "verify NAME | verify -f FILE --agencies FILE,...",
		Short: "Verify every party's signature on an agreement",
		Long: `Verifies that every party signed exactly these terms, with a key that its Agency publishes. It needs no connection: given
the agreement and the Agencies as files, anybody can run it. With --agencies, only what those files say is believed.

Exit code: 0 when every party's signature is good, 1 otherwise.`,
		Example: `  entente agreement verify anvil.v1 -n state-police
  entente agreement verify -f anvil.v1.yaml --agencies state-police.yaml,border-service.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, agencies, err := read.one(cmd.Context(), args)
			if err != nil {
				return err
			}
			if err := refuseUnknown(a.Name, a.Spec.UnknownFields); err != nil {
				return err
			}
			list, err := words.Signatures(a, agencies)
			if err != nil {
				return err
			}
			if err := read.print(cmd.OutOrStdout(), list, func() string { return signatureTable(list) }); err != nil {
				return err
			}
			var bad []string
			for _, s := range list {
				if !s.Valid {
					bad = append(bad, s.Agency)
				}
			}
			if len(bad) > 0 {
				return fmt.Errorf("%d of %d parties have no good signature on %s: %s", len(bad), len(list), a.Name, strings.Join(bad, ", "))
			}
			return nil
		},
	}
	read.addFiles(cmd)
	read.addAgencies(cmd)
	read.addOutput(cmd, "table", "json", "yaml")
	return cmd
}

func signatureTable(list []words.Signature) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(w, "PARTY\tVERIFIED\tKEY\tDECIDED AT\tWHY NOT")
	for _, s := range list {
		verified, at := "no", "-"
		if s.Valid {
			verified = "yes"
		}
		if s.DecidedAt != nil {
			at = s.DecidedAt.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Agency, verified, orDash(s.KeyID), at, s.Problem)
	}
	_ = w.Flush() // a strings.Builder does not fail
	return trimLines(out.String())
}

func newAgreementCoverageCommand(where *deskFlags) *cobra.Command {
	read := readFlags{where: where}
	cmd := &cobra.Command{
		Use:   "coverage NAME | coverage -f FILE",
		Short: "Show what keeps each promise of an agreement: a gateway, a database, Vault, or a party's word",
		Example: `  entente agreement coverage anvil.v1 -n labor-inspectorate
  entente agreement coverage -f anvil.v1.yaml -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, _, err := read.one(cmd.Context(), args)
			if err != nil {
				return err
			}
			if err := refuseUnknown(a.Name, a.Spec.UnknownFields); err != nil {
				return err
			}
			promises, err := words.Coverage(a)
			if err != nil {
				return err
			}
			return read.print(cmd.OutOrStdout(), promises, func() string { return words.CoverageText(promises) })
		},
	}
	read.addFiles(cmd)
	read.addOutput(cmd, "table", "json", "yaml")
	return cmd
}

func newAgreementExportCommand(where *deskFlags) *cobra.Command {
	read := readFlags{where: where}
	var format string
	var contacts bool
	cmd := &cobra.Command{
		Use:   "export NAME | export -f FILE",
		Short: "Print an agreement as a document, as what is signed, or as an entry of a public register",
		Long: `Prints an agreement as

  md        a document in Markdown, with every heading of 5 U.S.C. 552a(o)(1) in its order
  json      the canonical form of the terms (RFC 8785), without a line end: the SHA-256 of these bytes is the digest
  register  an entry of a public register, in JSON, with the fields of the UK Digital Economy Act register; without case
            references, row filters and selectors, and without contacts unless --contacts says that they are public`,
		Example: `  entente agreement export anvil.v1 -n state-police > anvil.v1.md
  entente agreement export -f anvil.v1.yaml --format json | sha256sum
  entente agreement export anvil.v1 --format register --config ./state-police`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, agencies, forces, err := read.oneInWords(cmd.Context(), args)
			if err != nil {
				return err
			}
			if err := refuseUnknown(a.Name, a.Spec.UnknownFields); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch format {
			case "md":
				text, err := words.Markdown(a, agencies, forces)
				if err == nil {
					_, err = io.WriteString(out, text)
				}
				return err
			case "json":
				text, err := a.Spec.Terms.Canonical()
				if err == nil {
					_, err = out.Write(text)
				}
				return err
			case "register":
				entry, err := words.Register(a, agencies, forces, contacts)
				if err != nil {
					return err
				}
				return printJSON(out, entry)
			}
			return fmt.Errorf("--format %q: use md, json or register", format)
		},
	}
	read.addFiles(cmd)
	read.addAgencies(cmd)
	cmd.Flags().StringVar(&format, "format", "md", "md, json or register")
	cmd.Flags().BoolVar(&contacts, "contacts", false, "in the register entry: show contacts, which are public")
	return cmd
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// trimLines takes away the blanks with which a table fills its last column.
func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
