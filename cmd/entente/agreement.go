package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/compile/profile"
)

func newAgreementCommand() *cobra.Command {
	var where deskFlags
	cmd := &cobra.Command{
		Use:     "agreement",
		Aliases: []string{"agr"},
		Short:   "Read, compare, check, decide on and sign sharing agreements",
	}
	where.add(cmd)
	signature := &cobra.Command{Use: "signature", Short: "Carry signatures between the parties by file"}
	signature.AddCommand(newSignatureExportCommand(&where), newSignatureImportCommand(&where))
	cmd.AddCommand(newAgreementLintCommand(&where), newAgreementDigestCommand(), newAgreementDecideCommand(&where), signature)
	cmd.AddCommand(newAgreementDutiesCommand(&where), newAgreementShowCommand(&where), newAgreementDiffCommand(&where), newAgreementVerifyCommand(&where),
		newAgreementCoverageCommand(&where), newWhoCanSeeCommand(&where), newAgreementExportCommand(&where))
	return cmd
}

func newAgreementDigestCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "digest -f FILE",
		Short:   "Print the digest of an agreement's terms: what decisions and signatures are bound to",
		Example: "  entente agreement digest -f anvil.v1.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return eachDocument(file, "SharingAgreement", func(document []byte) error {
				var a v1alpha1.SharingAgreement
				if err := yaml.UnmarshalStrict(document, &a); err != nil {
					return err
				}
				if err := refuseUnknown(a.Name, a.Spec.UnknownFields); err != nil {
					return err
				}
				digest, err := a.Spec.Terms.Digest()
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "%s  %s\n", digest, a.Name)
				}
				return err
			})
		},
	}
	fileFlag(cmd, &file)
	return cmd
}

func newSchemaCommand() *cobra.Command {
	var file string
	digest := &cobra.Command{
		Use:     "digest -f FILE",
		Short:   "Print the digest of an exchange schema: what agreements pin",
		Example: "  entente schema digest -f person.v1.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return eachDocument(file, "ExchangeSchema", func(document []byte) error {
				var s v1alpha1.ExchangeSchema
				if err := yaml.UnmarshalStrict(document, &s); err != nil {
					return err
				}
				if err := refuseUnknown(s.Name, s.Spec.UnknownFields); err != nil {
					return err
				}
				digest, err := s.Spec.Digest()
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "%s  %s\n", digest, s.Name)
				}
				return err
			})
		},
	}
	fileFlag(digest, &file)
	cmd := &cobra.Command{Use: "schema", Short: "Work with exchange schemas"}
	cmd.AddCommand(newSchemaShowCommand(), digest, newSchemaImportCommand())
	return cmd
}

func newTaskForceCommand() *cobra.Command {
	var file string
	digest := &cobra.Command{
		Use:     "digest -f FILE",
		Short:   "Print the digest of a task force: what agreements pin",
		Example: "  entente task-force digest -f harbor.v1.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return eachDocument(file, "TaskForce", func(document []byte) error {
				var f v1alpha1.TaskForce
				if err := yaml.UnmarshalStrict(document, &f); err != nil {
					return err
				}
				if err := refuseUnknown(f.Name, f.Spec.UnknownFields); err != nil {
					return err
				}
				if err := compile.CheckTaskForce(&f); err != nil {
					return err
				}
				digest, err := f.Spec.Digest()
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "%s  %s\n", digest, f.Name)
				}
				return err
			})
		},
	}
	fileFlag(digest, &file)
	cmd := &cobra.Command{Use: "task-force", Short: "Work with task forces"}
	cmd.AddCommand(digest)
	return cmd
}

func newSignatureExportCommand(where *deskFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "export NAME",
		Short:   "Print this agency's signature on an agreement, to give to the other parties",
		Example: "  entente agreement signature export anvil.v1 -n state-police > state-police.signature.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := where.open()
			if err != nil {
				return err
			}
			s, err := d.ExportSignature(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return printYAML(cmd.OutOrStdout(), s)
		},
	}
}

func newSignatureImportCommand(where *deskFlags) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "import NAME -f FILE",
		Short:   "File another party's signature on an agreement",
		Long:    "File another party's signature in spec.signatures of the agreement. A signature proves itself: the operator verifies it\nagainst the party's Agency, and condition Signed says what it found.",
		Example: "  entente agreement signature import anvil.v1 -f state-police.signature.yaml -n border-service",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readFile(file)
			if err != nil {
				return err
			}
			var s v1alpha1.AgreementSignature
			if err := yaml.UnmarshalStrict(text, &s); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			if s.Agency == "" || s.JWS == "" {
				return fmt.Errorf("%s holds no signature: it has no agency or no jws", file)
			}
			d, err := where.open()
			if err != nil {
				return err
			}
			if err := d.ImportSignature(cmd.Context(), args[0], s); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "signature of %s filed with %s\n", s.Agency, args[0])
			return nil
		},
	}
	fileFlag(cmd, &file)
	return cmd
}

func newAgreementDecideCommand(where *deskFlags) *cobra.Command {
	var spec v1alpha1.AgreementDecisionSpec
	var renewals v1alpha1.Renewals
	chosen := map[v1alpha1.Decision]*bool{}
	cmd := &cobra.Command{
		Use:   "decide NAME --accept|--reject|--suspend|--resume|--terminate|--attest DUTY",
		Short: "Take a decision on an agreement, in your own name",
		Example: `  entente agreement decide anvil.v1 --accept --role system-owner -n state-police
  entente agreement decide anvil.v1 --accept --renewals 'months(prior.term.notAfter, terms.term.notAfter) <= 12' -n state-police
  entente agreement decide anvil.v1 --suspend -n border-service
  entente agreement decide anvil.v1 --attest destruction --role privacy-officer -n state-police`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec.Agreement = args[0]
			for decision, set := range chosen {
				if *set {
					spec.Decision = decision
				}
			}
			if cmd.Flags().Changed("attest") {
				spec.Decision = v1alpha1.DecisionAttest
			}
			if cmd.Flags().Changed("renewals") || len(renewals.MayChange) > 0 {
				if _, err := profile.CompileRenewal(&renewals); err != nil {
					return err
				}
				if spec.Renewals = &renewals; spec.Decision != v1alpha1.DecisionAccept {
					return errors.New("--renewals go with --accept")
				}
			}
			d, err := where.open()
			if err != nil {
				return err
			}
			if spec.Decision == v1alpha1.DecisionAttest {
				if err := mayAttest(cmd.Context(), d, spec); err != nil {
					return err
				}
			}
			where, filed, err := d.Decide(cmd.Context(), spec)
			if err != nil {
				return err
			}
			inRole := ""
			if filed.Role != "" {
				inRole = " in role " + filed.Role
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s created: %s %s%s, digest %s\n", where, filed.Decision, strings.TrimSpace(filed.Duty+" "+filed.Agreement), inRole, filed.Digest)
			return nil
		},
	}
	var names []string
	for _, decision := range []v1alpha1.Decision{v1alpha1.DecisionAccept, v1alpha1.DecisionReject, v1alpha1.DecisionSuspend, v1alpha1.DecisionResume, v1alpha1.DecisionTerminate} {
		name := strings.ToLower(string(decision))
		chosen[decision] = cmd.Flags().Bool(name, false, "decide "+string(decision))
		names = append(names, name)
	}
	cmd.Flags().StringVar(&spec.Duty, "attest", "", "attest that a duty of this agency was done: see 'entente agreement duties'")
	names = append(names, "attest")
	cmd.MarkFlagsMutuallyExclusive(names...)
	cmd.MarkFlagsOneRequired(names...)
	cmd.Flags().StringVar(&spec.Role, "role", "", "role in which you decide (default: in a cluster, the one in which you may)")
	cmd.Flags().StringVar(&spec.DecidedBy, "decided-by", "", "who decides (default: who the cluster says you are)")
	cmd.Flags().StringVar(&spec.Digest, "digest", "", "digest that you read; refused if the terms have another (default: that of the terms)")
	cmd.Flags().StringVar(&renewals.When, "renewals", "", "with --accept: accept in advance one renewal for which this CEL expression over `terms and prior` is true")
	cmd.Flags().StringSliceVar(&renewals.MayChange, "renewals-may-change", nil, "with --renewals: members of the terms that may differ, besides version, supersedes and term")
	cmd.Flags().StringVar(&spec.Comment, "comment", "", "comment for the file")
	return cmd
}

// decisionPrefix begins the name of a decision's object.
func decisionPrefix(d v1alpha1.AgreementDecisionSpec) string {
	what := strings.ToLower(string(d.Decision))
	if d.Duty != "" {
		what += "-" + d.Duty
	}
	return strings.ReplaceAll(d.Agreement, ".", "-") + "-" + what + "-"
}

func fileFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "filename", "f", "", "file to read; - for standard input")
	_ = cmd.MarkFlagRequired("filename") // the flag was added on the line above
}

func readFile(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(path)
}

// eachDocument calls do with each YAML document of the kind in the file.
func eachDocument(path, kind string, do func([]byte) error) error {
	text, err := readFile(path)
	if err != nil {
		return err
	}
	found := false
	for _, document := range strings.Split("\n"+string(text), "\n---") {
		var head struct {
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if head.Kind != kind {
			continue
		}
		found = true
		if err := do([]byte(document)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if !found {
		return fmt.Errorf("%s holds no %s", path, kind)
	}
	return nil
}

func refuseUnknown(name string, fields []string) error {
	if len(fields) == 0 {
		return nil
	}
	return fmt.Errorf("%s: unknown member spec.%s: mend or remove it", cmp.Or(name, "the object"), strings.Join(fields, ", spec."))
}
