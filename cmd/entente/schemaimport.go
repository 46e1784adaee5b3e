package main

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/internal/schemaimport"
)

func newSchemaImportCommand() *cobra.Command {
	var name, dsn, table, file string
	var version int64
	var dataset bool
	print := func(cmd *cobra.Command, r *schemaimport.Result, err error) error {
		if err != nil {
			return err
		}
		if !dataset {
			r.Dataset = nil
		}
		text, err := r.YAML()
		if err == nil {
			_, err = cmd.OutOrStdout().Write(text)
		}
		for _, n := range r.Notes {
			fmt.Fprintln(cmd.ErrOrStderr(), "note: "+sanitize(n))
		}
		return err
	}
	document := func(use, short, example string, translate func(string, int64, []byte) (*schemaimport.Result, error)) *cobra.Command {
		c := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			data, err := readFile(file)
			if err != nil {
				return err
			}
			r, err := translate(name, version, data)
			return print(cmd, r, err)
		}}
		fileFlag(c, &file)
		return c
	}
	postgresql := &cobra.Command{
		Use:   "postgresql --dsn DSN --table TABLE --name NAME",
		Short: "Make an exchange schema of a table: its columns, types, enumerations and comments",
		Example: "  entente schema import postgresql --dsn 'host=db.police.example dbname=cases user=me' --table public.subjects --name person --dataset\n" +
			"  (the password from PGPASSWORD or ~/.pgpass; only the catalogue is read)",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := pgx.Connect(cmd.Context(), dsn)
			if err != nil {
				return errors.New("the database cannot be connected to: check --dsn, and PGPASSWORD or ~/.pgpass") // the driver's words may have the password
			}
			defer conn.Close(cmd.Context())
			r, err := schemaimport.PostgreSQL(cmd.Context(), conn, table, name, version)
			return print(cmd, r, err)
		},
	}
	postgresql.Flags().StringVar(&dsn, "dsn", "", "how to connect, as psql takes it: host=… dbname=… user=…")
	postgresql.Flags().StringVar(&table, "table", "", "the table or view, NAME or SCHEMA.NAME")
	postgresql.Flags().BoolVar(&dataset, "dataset", false, "print a Dataset that maps the table, too, with its indexes as selectors")
	_ = postgresql.MarkFlagRequired("dsn")
	_ = postgresql.MarkFlagRequired("table")
	cmd := &cobra.Command{Use: "import", Short: "Make an exchange schema of a table, a JSON Schema or a NIEM JSON-LD context"}
	cmd.PersistentFlags().StringVar(&name, "name", "", "name of the exchange schema")
	cmd.PersistentFlags().Int64Var(&version, "version", 1, "version of the exchange schema")
	_ = cmd.MarkPersistentFlagRequired("name")
	cmd.AddCommand(postgresql,
		document("json-schema -f FILE --name NAME", "Make an exchange schema of a JSON Schema (draft 2020-12) of an object",
			"  entente schema import json-schema -f person.schema.json --name person > person.v1.yaml", schemaimport.JSONSchema),
		document("niem -f FILE --name NAME", "Make an exchange schema of a JSON-LD context, as NIEM publishes them",
			"  entente schema import niem -f person.context.jsonld --name person > person.v1.yaml", schemaimport.JSONLD))
	return cmd
}
