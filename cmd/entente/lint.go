package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/config/profiles"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/lint"
)

func newAgreementLintCommand(where *deskFlags) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "lint [FILE|DIR…]",
		Short: "Check agreements before they are applied",
		Long: `Checks agreements, and the schemas, datasets and profiles that stand with them, by the code that decides when they are applied:
unknown members, bounds, terms that nothing can enforce, references, and the rules of the profiles that the terms name. Everything
is told that is found, with the statute that asks for it; and what could not be checked, because what it refers to is not
among the files.

Files are checked offline, with the profiles that ship; - is standard input, a folder means every *.yaml and *.yml below it. Without
files, what the namespace (-n) or the folder of a standalone installation (--config) has is checked, with the profiles that are there.

The exit code is 0 when no error was found, warnings or not; 1 when one was; 2 when nothing could be checked.`,
		Example: `  entente agreement lint anvil.v1.yaml person.v1.yaml
  entente agreement lint agreements/ -o json
  entente agreement lint -n state-police`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "table" && output != "json" {
				return fmt.Errorf("--output is %q, not table or json", output)
			}
			report, err := lintReport(cmd.Context(), cmd.InOrStdin(), args, where)
			if err != nil {
				return err
			}
			if report.Resources == 0 {
				return errors.New("nothing to check: there is no resource of entente.dev")
			}
			if output == "json" {
				err = printJSON(cmd.OutOrStdout(), report)
			} else {
				err = printFindings(cmd.OutOrStdout(), report)
			}
			if err == nil && report.Count(v1alpha1.SeverityError) > 0 {
				err = &exitError{code: 1}
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "output: table or json")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return troubled(run(cmd, args)) }
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return troubled(err) })
	return cmd
}

func lintReport(ctx context.Context, stdin io.Reader, args []string, where *deskFlags) (*lint.Report, error) {
	switch {
	case len(args) > 0:
		shipped, err := profiles.All()
		if err != nil {
			return nil, err
		}
		files, err := readFiles(stdin, args)
		if err != nil {
			return nil, err
		}
		return lint.Files(files, shipped), nil
	case where.config != "":
		files, err := readFiles(stdin, []string{where.config})
		if err != nil {
			return nil, err
		}
		return lint.Files(files, nil), nil
	}
	d, err := where.open()
	if err != nil {
		return nil, err
	}
	objects, err := lintObjects(ctx, d.(clusterDesk)) // open gives a folder for --config only
	if err != nil {
		return nil, err
	}
	return lint.Objects(objects), nil
}

// readFiles reads the files, and those of the folders that count as resources. A file that was named counts whatever its name.
func readFiles(stdin io.Reader, paths []string) ([]lint.File, error) {
	var out []lint.File
	add := func(path string, read func() ([]byte, error)) error {
		content, err := read()
		out = append(out, lint.File{Name: path, Content: content})
		return err
	}
	for _, root := range paths {
		if root == "-" {
			if err := add(root, func() ([]byte, error) { return io.ReadAll(stdin) }); err != nil {
				return nil, err
			}
			continue
		}
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			hidden := path != root && strings.HasPrefix(e.Name(), ".")
			ext := filepath.Ext(path)
			switch {
			case err != nil:
				return err
			case e.IsDir() && hidden:
				return fs.SkipDir
			case e.IsDir(), path != root && (hidden || ext != ".yaml" && ext != ".yml"):
				return nil
			}
			return add(path, func() ([]byte, error) { return os.ReadFile(path) })
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// lintObjects lists what the namespace has.
func lintObjects(ctx context.Context, d clusterDesk) (map[string][]metav1.Object, error) {
	var (
		agencies   v1alpha1.AgencyList
		schemas    v1alpha1.ExchangeSchemaList
		datasets   v1alpha1.DatasetList
		agreements v1alpha1.SharingAgreementList
		rules      v1alpha1.AgreementProfileList
		forces     v1alpha1.TaskForceList
	)
	for _, list := range []client.ObjectList{&agencies, &schemas, &datasets, &agreements, &rules, &forces} {
		if err := d.client.List(ctx, list, client.InNamespace(d.namespace)); err != nil {
			return nil, err
		}
	}
	out := map[string][]metav1.Object{}
	for i := range agencies.Items {
		out["Agency"] = append(out["Agency"], &agencies.Items[i])
	}
	for i := range schemas.Items {
		out["ExchangeSchema"] = append(out["ExchangeSchema"], &schemas.Items[i])
	}
	for i := range datasets.Items {
		out["Dataset"] = append(out["Dataset"], &datasets.Items[i])
	}
	for i := range agreements.Items {
		out["SharingAgreement"] = append(out["SharingAgreement"], &agreements.Items[i])
	}
	for i := range rules.Items {
		out["AgreementProfile"] = append(out["AgreementProfile"], &rules.Items[i])
	}
	for i := range forces.Items {
		out["TaskForce"] = append(out["TaskForce"], &forces.Items[i])
	}
	return out, nil
}

// printFindings prints one line for each finding, and a sum.
func printFindings(w io.Writer, r *lint.Report) error {
	if len(r.Findings) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "WHERE\tSEVERITY\tRULE\tTERM\tCITATION\tMESSAGE")
		for _, f := range r.Findings {
			where := f.Resource
			if f.File != "" {
				where = fmt.Sprintf("%s:%d", f.File, f.Line)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", where, f.Severity, f.Rule, f.Path, f.Citation, strings.Join(strings.Fields(f.Message), " "))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d resources, %d of them agreements: %d errors, %d warnings, %d not checked\n", r.Resources, r.Agreements,
		r.Count(v1alpha1.SeverityError), r.Count(v1alpha1.SeverityWarning), r.Count(compile.SeverityNotChecked))
	return err
}
