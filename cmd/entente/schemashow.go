package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
)

func newSchemaShowCommand() *cobra.Command {
	var where deskFlags
	var file, output string
	cmd := &cobra.Command{
		Use:   "show [NAME | -f FILE]",
		Short: "Print the fields of an exchange schema, with what they and their codes mean",
		Example: `  entente schema show person.v1 -n state-police
  entente schema show person.v1 --config state-police
  entente schema show -f person.v1.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, "table", "json", "yaml"); err != nil {
				return err
			}
			if (len(args) == 1) == (file != "") {
				return errors.New("name an exchange schema (person.v1), or give a file of it with -f")
			}
			if file != "" {
				return eachDocument(file, "ExchangeSchema", func(document []byte) error {
					var s v1alpha1.ExchangeSchema
					if err := yaml.UnmarshalStrict(document, &s); err != nil {
						return err
					}
					return showSchema(cmd.OutOrStdout(), &s, output)
				})
			}
			desk, err := where.open()
			if err != nil {
				return err
			}
			s, err := desk.Schema(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return showSchema(cmd.OutOrStdout(), s, output)
		},
	}
	where.add(cmd)
	cmd.Flags().StringVarP(&file, "filename", "f", "", "file with the exchange schema; - for standard input")
	outputFlag(cmd, &output, "table", "json", "yaml")
	return cmd
}

// Schema implements desk.
func (d clusterDesk) Schema(ctx context.Context, name string) (*v1alpha1.ExchangeSchema, error) {
	s := &v1alpha1.ExchangeSchema{}
	return s, d.get(ctx, name, s)
}

// Schema implements desk.
func (d folderDesk) Schema(_ context.Context, name string) (*v1alpha1.ExchangeSchema, error) {
	x, err := d.folder.Index()
	if err != nil {
		return nil, err
	}
	if x.Schemas[name] == nil {
		return nil, fmt.Errorf("the folder has no ExchangeSchema %q", name)
	}
	return x.Schemas[name], nil
}

// showSchema prints a schema that is accepted: what is not, agreements cannot pin.
func showSchema(out io.Writer, s *v1alpha1.ExchangeSchema, output string) error {
	for _, f := range compile.LintSchema(s) {
		return fmt.Errorf("%s: %s", s.Name, f.Message)
	}
	digest, err := s.Spec.Digest()
	if err != nil {
		return err
	}
	whole := map[string]any{"name": s.Name, "digest": digest, "spec": s.Spec}
	switch output {
	case "json":
		return printJSON(out, whole)
	case "yaml":
		return printYAML(out, whole)
	}
	fmt.Fprintf(out, "%s  %s\n", s.Name, digest)
	if s.Spec.Description != "" {
		fmt.Fprintln(out, sanitize(s.Spec.Description))
	}
	t := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "FIELD\tTYPE\tSENSITIVITY\tMEANING")
	row := func(path, kind, sensitivity, description, term string, codes []string, displays []v1alpha1.CodeDisplay) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", path, kind, cmp.Or(sensitivity, "-"), sanitize(cmp.Or(description, term)))
		meanings := map[string]string{}
		for _, d := range displays {
			meanings[d.Code] = d.Display
		}
		for _, code := range codes {
			fmt.Fprintf(t, "\t  %s\t\t%s\n", sanitize(code), sanitize(meanings[code]))
		}
	}
	for _, f := range s.Spec.Fields {
		kind := string(f.Type)
		if f.Repeated {
			kind = "list of " + kind
		}
		row(f.Name, kind, f.Sensitivity, f.Description, f.SemanticTerm, f.Codes, f.Displays)
		for _, m := range f.Fields {
			row(f.Name+"."+m.Name, string(m.Type), m.Sensitivity, m.Description, m.SemanticTerm, m.Codes, m.Displays)
		}
	}
	return t.Flush()
}
