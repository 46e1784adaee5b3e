package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/standalone"
	"github.com/entente-dev/entente/controllers/words"
)

func newAgencyCommand() *cobra.Command {
	var where deskFlags
	cmd := &cobra.Command{Use: "agency", Short: "Introduce agencies to each other"}
	where.add(cmd)
	cmd.AddCommand(newAgencyExportCommand(&where), newAgencyImportCommand(&where), newAgencyCheckCommand(&where), newAgencyMaintenanceCommand(&where))
	return cmd
}

func newAgencyExportCommand(where *deskFlags) *cobra.Command {
	var fingerprints bool
	cmd := &cobra.Command{
		Use:   "export [NAME]",
		Short: "Print this agency as its peers import it, with its trust bundle and signing keys",
		Example: `  entente agency export -n state-police > state-police-agency.yaml
  entente agency export -n state-police --fingerprints`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := where.open()
			if err != nil {
				return err
			}
			a, err := d.ExportAgency(cmd.Context(), strings.Join(args, ""))
			if err != nil {
				return err
			}
			if fingerprints {
				return printFingerprints(cmd.OutOrStdout(), a)
			}
			return printYAML(cmd.OutOrStdout(), map[string]any{
				"apiVersion": v1alpha1.GroupVersion.String(), "kind": "Agency",
				"metadata": map[string]any{"name": a.Name}, "spec": a.Spec,
			})
		},
	}
	cmd.Flags().BoolVar(&fingerprints, "fingerprints", false, "print it in words with its fingerprints instead, to read out to whoever imports it")
	return cmd
}

func newAgencyImportCommand(where *deskFlags) *cobra.Command {
	var file string
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use:   "import -f FILE",
		Short: "Check what another agency prints of itself, show its fingerprints, and apply it",
		Long: `Checks the Agency that another agency printed with 'entente agency export', and shows it with the fingerprints of its authorities and signing
keys, and with what changes here. Have the other side read its own out to you ('entente agency export --fingerprints'): whoever can swap the
file can be the other agency. It is applied once you say so: on a terminal when asked, or with --yes.

A fingerprint is SHA-256, in hexadecimal digits: of an authority's certificate, and of a signing key as RFC 7638 has it.`,
		Example: `  entente agency import -f border-service-agency.yaml -n state-police --dry-run
  entente agency import -f border-service-agency.yaml -n state-police --yes
  entente agency import -f border-service-agency.yaml --config state-police`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := readFile(file)
			if err != nil {
				return err
			}
			a, err := standalone.ReadAgency(text)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			d, err := where.open()
			if err != nil {
				return err
			}
			x, err := d.Index(cmd.Context())
			if err != nil {
				return err
			}
			if x.Self == "" {
				return errors.New("it cannot be told which agency here is this agency itself: its own Agency is the one without keys, and there must be one")
			}
			if err := compile.CheckPeer(x, a); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			out, before := cmd.OutOrStdout(), x.Agencies[a.Name]
			changes, err := words.AgencyChanges(before, a)
			if err != nil {
				return err
			}
			if err := printFingerprints(out, a); err != nil {
				return err
			}
			fmt.Fprintln(out)
			if len(changes) == 0 {
				fmt.Fprintf(out, "%s is applied as it stands: nothing to change\n", a.Name)
				return nil
			}
			fmt.Fprintf(out, "%s\n\n", strings.Join(changes, "\n"))
			if dryRun {
				fmt.Fprintln(out, "Nothing was applied. Compare the fingerprints with the other agency, then give --yes.")
				return nil
			}
			if !yes {
				if yes, err = confirmed(cmd.InOrStdin(), out, file); err != nil {
					return err
				}
			}
			if !yes {
				return errNotConfirmed
			}
			if err := d.ImportAgency(cmd.Context(), before, a); err != nil {
				return err
			}
			fmt.Fprintf(out, "agency %s applied\n", a.Name)
			return nil
		},
	}
	fileFlag(cmd, &file)
	cmd.Flags().BoolVar(&yes, "yes", false, "apply without asking: you have compared the fingerprints")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "check and show, and apply nothing")
	cmd.MarkFlagsMutuallyExclusive("yes", "dry-run")
	return cmd
}

func printFingerprints(w io.Writer, a *v1alpha1.Agency) error {
	text, err := words.AgencyFingerprints(a)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return err
}

var errNotConfirmed = errors.New("nothing was applied: compare the fingerprints with the other agency, then give --yes")

// confirmed asks on a terminal; elsewhere nobody can be asked.
func confirmed(in io.Reader, out io.Writer, file string) (bool, error) {
	if !isTerminal(in) || file == "-" {
		return false, nil
	}
	fmt.Fprint(out, "Has the other agency read the same fingerprints out to you, and is it to be applied? [y/N] ")
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}
