package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	_ "modernc.org/sqlite" // the driver
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/internal/datasetcheck"
)

func newDatasetCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "dataset", Short: "Work with datasets"}
	cmd.AddCommand(newDatasetCheckCommand())
	return cmd
}

func newDatasetCheckCommand() *cobra.Command {
	var file, schemaFile, dsn, base, output string
	cmd := &cobra.Command{
		Use:   "check -f FILE --schema FILE",
		Short: "Hold a dataset against its live source: relation, columns, types, indexes for selectors, rows",
		Example: "  entente dataset check -f dataset.yaml --schema person.v1.yaml --dsn 'host=db.police.example dbname=cases user=me'\n" +
			"  (the password from PGPASSWORD or ~/.pgpass; only the catalogue is read)",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return fmt.Errorf("--output %q: use table or json", output)
			}
			var s v1alpha1.ExchangeSchema
			if err := eachDocument(schemaFile, "ExchangeSchema", func(document []byte) error {
				if err := yaml.UnmarshalStrict(document, &s); err != nil {
					return err
				}
				return refuseUnknown(s.Name, s.Spec.UnknownFields)
			}); err != nil {
				return err
			}
			failed := false
			err := eachDocument(file, "Dataset", func(document []byte) error {
				var d v1alpha1.Dataset
				if err := yaml.UnmarshalStrict(document, &d); err != nil {
					return err
				}
				if err := refuseUnknown(d.Name, d.Spec.UnknownFields); err != nil {
					return err
				}
				for _, f := range compile.LintDataset(&compile.Index{Schemas: map[string]*v1alpha1.ExchangeSchema{s.Name: &s}}, &d) {
					return errors.New(f.Message)
				}
				r, err := checkDataset(cmd, &d, &s, dsn, base)
				if err != nil {
					return err
				}
				failed = failed || r.Failed()
				return printDatasetReport(cmd, r, output)
			})
			if err == nil && failed {
				err = errors.New("the dataset cannot be read as it stands")
			}
			return err
		},
	}
	fileFlag(cmd, &file)
	cmd.Flags().StringVar(&schemaFile, "schema", "", "file with the exchange schema")
	_ = cmd.MarkFlagRequired("schema")
	cmd.Flags().StringVar(&dsn, "dsn", "", "how to connect to PostgreSQL, as psql takes it: host=… dbname=… user=…")
	cmd.Flags().StringVar(&base, "base-dir", ".", "folder that the relative path of an SQLite file starts from")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

func checkDataset(cmd *cobra.Command, d *v1alpha1.Dataset, s *v1alpha1.ExchangeSchema, dsn, base string) (*datasetcheck.Report, error) {
	switch {
	case d.Spec.Source.PostgreSQL != nil && dsn == "":
		return nil, errors.New("the dataset is in PostgreSQL: give --dsn")
	case d.Spec.Source.PostgreSQL != nil:
		conn, err := pgx.Connect(cmd.Context(), dsn)
		if err != nil {
			return nil, errors.New("the database cannot be connected to: check --dsn, and PGPASSWORD or ~/.pgpass") // the driver's words may have the password
		}
		defer func() { _ = conn.Close(cmd.Context()) }()
		return datasetcheck.PostgreSQL(cmd.Context(), conn, d, s)
	case d.Spec.Source.SQLite != nil:
		path := d.Spec.Source.SQLite.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(base, path)
		}
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
		absolute, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.ToSlash(absolute), RawQuery: "mode=ro"}).String())
		if err != nil {
			return nil, err
		}
		defer func() { _ = db.Close() }()
		return datasetcheck.SQLite(cmd.Context(), db, d, s)
	}
	return nil, errors.New("datasets in PostgreSQL and SQLite can be checked")
}

func printDatasetReport(cmd *cobra.Command, r *datasetcheck.Report, output string) error {
	out := cmd.OutOrStdout()
	if output == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	rows := "rows not estimated yet: run ANALYZE"
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
