package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/entente-dev/entente/config/profiles"
	"github.com/entente-dev/entente/controllers/lint"
)

// lintCommand runs `entente agreement lint` and gives what it prints and its exit code.
func lintCommand(t *testing.T, stdin string, args ...string) (out string, code int) {
	t.Helper()
	var b bytes.Buffer
	cmd := newRootCommand()
	cmd.SetArgs(append([]string{"agreement", "lint"}, args...))
	cmd.SetOut(&b)
	cmd.SetIn(strings.NewReader(stdin))
	err := cmd.ExecuteContext(t.Context())
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		return b.String() + exit.message, exit.code
	case err != nil:
		t.Fatal(err)
	}
	return b.String(), code
}

func lintJSON(t *testing.T, args ...string) (lint.Report, int) {
	t.Helper()
	out, code := lintCommand(t, "", append(args, "-o", "json")...)
	var r lint.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return r, code
}

// faulty is the folder of bad agreements, as the command is given it.
const faulty = "../../config/samples/faulty"

// TestLintFindsEachFault: every file of config/samples/faulty says in comments what is wrong with it; exactly that is found, with its
// citation.
func TestLintFindsEachFault(t *testing.T) {
	report, code := lintJSON(t, faulty)
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	found := map[string][]string{}
	for _, f := range report.Findings {
		line := string(f.Severity) + " " + f.Rule + " "
		if f.Path == "" {
			line += "-"
		}
		line += f.Path
		if f.Citation != "" {
			line += " | " + f.Citation
		}
		found[f.File] = append(found[f.File], line)
		if f.Message == "" || f.Line < 1 || f.Resource == "" && f.Rule != lint.RuleUnreadable {
			t.Errorf("%s: incomplete: %+v", f.File, f)
		}
	}
	files, err := filepath.Glob(faulty + "/*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	faults := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for line := range strings.Lines(string(text)) {
			if w, ok := strings.CutPrefix(line, "# want: "); ok {
				want = append(want, strings.TrimSpace(w))
			}
		}
		faults += len(want)
		got := found[file]
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: found\n  %s\nwant\n  %s", file, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	}
	t.Logf("%d faults in %d files", faults, len(files))
}

// TestFaultyIsComplete: each rule of the profiles that ship is broken by a file, and found with the citation that the rule has.
func TestFaultyIsComplete(t *testing.T) {
	report, _ := lintJSON(t, faulty)
	shipped, err := profiles.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range shipped {
		for _, r := range p.Spec.Rules {
			if !slices.ContainsFunc(report.Findings, func(f lint.Finding) bool {
				return f.Rule == p.Name+"/"+r.Name && f.Severity == r.Severity && f.Citation == r.Citation
			}) {
				t.Errorf("no file of %s breaks %s/%s", faulty, p.Name, r.Name)
			}
		}
	}
}

// TestLintSamples: the samples are clean, and the schemas that they pin are those beside them.
func TestLintSamples(t *testing.T) {
	report, code := lintJSON(t, "../../config/samples/agreements", "../../config/profiles")
	if code != 0 || report.Agreements < 4 {
		t.Errorf("exit code %d, %d agreements", code, report.Agreements)
	}
	for _, f := range report.Findings {
		if f.Rule != "UnknownAgency" { // the samples are of several countries; their agencies are not there
			t.Errorf("%s:%d: %s %s %s: %s", f.File, f.Line, f.Severity, f.Rule, f.Path, f.Message)
		}
	}
}

func TestLintTable(t *testing.T) {
	out, code := lintCommand(t, "", faulty+"/cmppa-clocks.yaml", faulty+"/schemas.yaml")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		faulty + "/cmppa-clocks.yaml:7 ", "us-cmppa/term-18-months", "term.notAfter", "5 U.S.C. 552a(o)(2)(C)", "end it sooner",
		"NotChecked", `there is no Agency "veterans-department"`,
		"5 resources, 1 of them agreements: 1 errors, 4 warnings, 2 not checked",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// TestLintWarningsPass: a pipeline stops at errors, not at warnings.
func TestLintWarningsPass(t *testing.T) {
	text, err := os.ReadFile(faulty + "/cmppa-clocks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	fixed := strings.Replace(string(text), `notAfter: "2028-07-01T00:00:01Z"`, `notAfter: "2028-07-01T00:00:00Z"`, 1)
	if out, code := lintCommand(t, fixed, "-"); code != 0 || !strings.Contains(out, "0 errors, 4 warnings") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestLintNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "other.yaml"), []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code := lintCommand(t, "", dir); code != 2 || !strings.Contains(out, "nothing to check") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, code := lintCommand(t, "", "--outptu", "json"); code != 2 || !strings.Contains(out, "unknown flag") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, code := lintCommand(t, "", filepath.Join(dir, "missing")); code != 2 || !strings.Contains(out, "no such file") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// TestLintFolder: the folder of a standalone installation has the profiles that it has.
func TestLintFolder(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"config/samples/agreements/uk-debt.yaml"} {
		text, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := lintCommand(t, "", "--config", dir); code != 1 || !strings.Contains(out, `there is no AgreementProfile "uk-dea"`) {
		t.Errorf("exit code %d: %s", code, out)
	}
}
