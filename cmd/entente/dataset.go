package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/internal/datasetcheck"
)

func newDatasetCommand() *cobra.Command {
	var where deskFlags
	cmd := &cobra.Command{Use: "dataset", Short: "Work with datasets"}
	where.add(cmd)
	cmd.AddCommand(newDatasetCheckCommand(&where))
	return cmd
}

func newDatasetCheckCommand(where *deskFlags) *cobra.Command {
	var file, schemaFile, output string
	var login sourceLogin
	cmd := &cobra.Command{
		Use:   "check [NAME | -f FILE --schema FILE]",
		Short: "Hold a dataset against its live source: relation, columns, types, indexes for selectors, rows",
		Long: `Holds a dataset, of the cluster, of a folder of 'entente standalone' (--config) or of a file, against the catalogue of the database that it
names. No record is read; an SQLite file's rows are counted.

Whoever checks logs in to a PostgreSQL database as

  themselves             --username, at the server that the dataset names, by its TLS settings; the password from PGPASSWORD or ~/.pgpass
  themselves, elsewhere  --dsn, as psql takes it: through a tunnel, or with a client certificate
  nobody in particular   with neither of the two: as a user that Vault makes for it, who may log in and read nothing, and ends after five
                         minutes. VAULT_ADDR, VAULT_TOKEN or ~/.vault-token and so on as for the vault command; the token has to be allowed to read
                         database/creds/entente_probe.<connection>

and to Trino with a login of their own (--secret-dir).

The exit code is 1 when something is an error, also when the source cannot be asked.`,
		Example: `  entente dataset check case-subjects -n state-police
  entente dataset check case-subjects -n state-police --username me
  entente dataset check case-subjects --config state-police
  entente dataset check -f dataset.yaml --schema person.v1.yaml --dsn 'host=localhost port=15432 dbname=cases user=me'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, "table", "json", "yaml"); err != nil {
				return err
			}
			if (len(args) == 1) == (file != "") {
				return errors.New("name a dataset, or give a file of it with -f and its schema's with --schema")
			}
			if (file != "") != (schemaFile != "") {
				return errors.New("-f and --schema go together: a dataset that is named is checked against the schema beside it")
			}
			failed := false
			check := func(d *v1alpha1.Dataset, s *v1alpha1.ExchangeSchema) error {
				r, err := checkDataset(cmd.Context(), d, s, &login)
				if err != nil {
					return err
				}
				failed = failed || r.Failed()
				return printDatasetReport(cmd, r, output)
			}
			var err error
			if file != "" {
				err = eachDataset(file, schemaFile, check)
			} else {
				err = namedDataset(cmd.Context(), where, args[0], &login, check)
			}
			if err == nil && failed {
				err = errors.New("the dataset cannot be read as it stands")
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&file, "filename", "f", "", "file with the dataset; - reads standard input")
	cmd.Flags().StringVar(&schemaFile, "schema", "", "file with the exchange schema, with -f")
	login.add(cmd)
	outputFlag(cmd, &output, "table", "json", "yaml")
	return cmd
}

// eachDataset gives the datasets of a file, with the schema of another.
func eachDataset(file, schemaFile string, check func(*v1alpha1.Dataset, *v1alpha1.ExchangeSchema) error) error {
	var s v1alpha1.ExchangeSchema
	if err := eachDocument(schemaFile, "ExchangeSchema", func(document []byte) error {
		if err := yaml.UnmarshalStrict(document, &s); err != nil {
			return err
		}
		return refuseUnknown(s.Name, s.Spec.UnknownFields)
	}); err != nil {
		return err
	}
	return eachDocument(file, "Dataset", func(document []byte) error {
		var d v1alpha1.Dataset
		if err := yaml.UnmarshalStrict(document, &d); err != nil {
			return err
		}
		if err := refuseUnknown(d.Name, d.Spec.UnknownFields); err != nil {
			return err
		}
		return check(&d, &s)
	})
}

// namedDataset gives the dataset of a desk, with its schema.
func namedDataset(ctx context.Context, where *deskFlags, name string, login *sourceLogin, check func(*v1alpha1.Dataset, *v1alpha1.ExchangeSchema) error) error {
	desk, err := where.open()
	if err != nil {
		return err
	}
	if where.config != "" {
		login.base = cmp.Or(login.base, where.config)
		login.secretDir = cmp.Or(login.secretDir, filepath.Join(where.config, "secrets", name))
	}
	d, err := desk.Dataset(ctx, name)
	if err != nil {
		return err
	}
	s, err := desk.Schema(ctx, fmt.Sprintf("%s.v%d", d.Spec.Schema.Name, d.Spec.Schema.Version))
	if err != nil {
		return fmt.Errorf("the schema of dataset %s: %w", name, err)
	}
	return check(d, s)
}

// Dataset implements desk.
func (d clusterDesk) Dataset(ctx context.Context, name string) (*v1alpha1.Dataset, error) {
	o := &v1alpha1.Dataset{}
	return o, d.get(ctx, name, o)
}

// Dataset implements desk.
func (d folderDesk) Dataset(_ context.Context, name string) (*v1alpha1.Dataset, error) {
	x, err := d.folder.Index()
	if err != nil {
		return nil, err
	}
	if x.Datasets[name] == nil {
		return nil, fmt.Errorf("the folder has no Dataset %q", name)
	}
	return x.Datasets[name], nil
}

// checkDataset refuses a dataset that is not well formed, whose names would end up in SQL, and asks the source of any other.
func checkDataset(ctx context.Context, d *v1alpha1.Dataset, s *v1alpha1.ExchangeSchema, login *sourceLogin) (*datasetcheck.Report, error) {
	if d.Spec.Source.PostgreSQL == nil && d.Spec.Source.SQLite == nil && d.Spec.Source.Trino == nil {
		return nil, fmt.Errorf("dataset %s: an HTTP service has no catalogue; how the dataset fits its document stands in the dataset's condition ResolvedRefs", d.Name)
	}
	// What the operator saw of the source does not count here: the source is asked.
	d = d.DeepCopy()
	d.Status = v1alpha1.DatasetStatus{}
	for _, f := range compile.LintDataset(&compile.Index{Schemas: map[string]*v1alpha1.ExchangeSchema{s.Name: s}}, d) {
		return nil, errors.New(f.Message)
	}
	return login.check(ctx, d, s)
}

func printDatasetReport(cmd *cobra.Command, r *datasetcheck.Report, output string) error {
	out := cmd.OutOrStdout()
	switch output {
	case "json":
		return printJSON(out, r)
	case "yaml":
		return printYAML(out, r)
	}
	rows := "rows not estimated (in PostgreSQL, ANALYZE does it)"
	if r.Rows >= 0 {
		rows = fmt.Sprintf("about %d rows", r.Rows)
	}
	fmt.Fprintf(out, "%s on %s: %s\n", r.Dataset, r.Relation, rows)
	if len(r.Findings) == 0 {
		fmt.Fprintln(out, "it fits")
		return nil
	}
	t := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "SEVERITY\tWHERE\tWHAT")
	for _, f := range r.Findings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Severity, f.Path, sanitize(f.Message))
	}
	return t.Flush()
}
