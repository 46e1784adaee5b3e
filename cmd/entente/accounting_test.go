package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/disclosure"
	"github.com/entente-dev/entente/internal/accounting"
)

// accountable is the log of a gateway that disclosed a record of the person X1, and refused once.
func accountable(t *testing.T) string {
	t.Helper()
	state := t.TempDir()
	subjects, err := disclosure.OpenSubjects(state)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(state, "log")
	l, err := audit.Open(dir, audit.Options{Origin: "labor.example.gov/gateway-0"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []audit.Record{
		{Disclosure: "d-1", Kind: audit.Intent},
		{Disclosure: "d-1", Kind: audit.Outcome, Outcome: "OK", Hit: true, Records: 1, ElapsedMicros: 1500, SubjectTokens: []string{subjects.Token("person", "document_number", "X1")}},
		{Disclosure: "d-2", Kind: audit.Denial, Outcome: "DENIED", Reason: "purpose"},
	} {
		r.Side, r.Operation, r.Agreement, r.Version, r.Clause, r.Purpose = audit.Source, audit.Consultation, "anvil", 1, "wages", "ncic:C"
		r.Source, r.Recipient, r.Granularity, r.Fields, r.Filter = "labor-inspectorate", "state-police", "Records", []string{"family_name"}, `family_name == "Castellanos"`
		rc, err := l.Append(t.Context(), r)
		if err == nil {
			err = rc.Wait(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func runAuditWith(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := newAuditCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	var out, errs bytes.Buffer
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

const subjectX1 = "person.document_number=X1\n"

func TestAuditDisclosures(t *testing.T) {
	dir := accountable(t)
	out, messages, err := runAuditWith(t, subjectX1, "disclosures", "--dir", dir)
	if err != nil || !strings.Contains(out, "1 record: family_name") || !strings.Contains(out, "not for the person") || !strings.Contains(messages, "is told of disclosures for: ncic:C (1)") {
		t.Errorf("%v\n%s%s", err, out, messages)
	}
	out, messages, err = runAuditWith(t, subjectX1, "disclosures", "--dir", dir, "--for-person", "--withhold", "ncic:C=5 U.S.C. 552a(b)(7)", "--withhold", "ncic:D=other")
	if err != nil || !strings.Contains(out, "No disclosures.") || !strings.Contains(messages, "is not told of disclosures for: ncic:C (1)") || !strings.Contains(messages, "--withhold ncic:D matches no disclosure") {
		t.Errorf("%v\n%s%s", err, out, messages)
	}
	file := filepath.Join(t.TempDir(), "person.txt")
	if err := os.WriteFile(file, []byte(subjectX1), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err = runAuditWith(t, "", "disclosures", "--dir", dir, "--subject", file, "-o", "json")
	var account accounting.Account
	if err == nil {
		err = json.Unmarshal([]byte(out), &account)
	}
	if err != nil || len(account.Disclosures) != 1 || account.Copy != accounting.CopyAgency {
		t.Errorf("%v %s", err, out)
	}
	if _, messages, err := runAuditWith(t, "person.document_number=X2\n", "disclosures", "--dir", dir); err != nil || !strings.Contains(messages, "nothing was found") {
		t.Errorf("%v %s", err, messages)
	}
}

func TestAuditCorrections(t *testing.T) {
	dir, record := accountable(t), filepath.Join(t.TempDir(), "corrections")
	args := []string{"corrections", "--dir", dir, "--record", record}
	for i, want := range []string{"not told", "told on"} {
		out, messages, err := runAuditWith(t, subjectX1, args...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("run %d: %v\n%s%s", i, err, out, messages)
		}
	}
	out, _, err := runAuditWith(t, "", "verify", "--dir", record)
	if err != nil || !strings.Contains(out, "labor.example.gov/corrections") || !strings.Contains(out, "Entries:   1\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAuditReport(t *testing.T) {
	dir := accountable(t)
	for form, want := range map[string]string{"text": "denied by: purpose 1", "json": `"denials": {`, "csv": "Source,anvil,2,1,1,0,1,0,0,1,1.47", "html": "<svg"} {
		out, _, err := runAuditWith(t, "", "report", "--dir", dir, "-o", form)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v, no %q in\n%s", form, err, want, out)
		}
		if strings.Contains(out, "Castellanos") {
			t.Errorf("%s shows a filter", form)
		}
	}
}

func TestAuditExport(t *testing.T) {
	dir := accountable(t)
	out, _, err := runAuditWith(t, "", "export", "--dir", dir)
	if err != nil || strings.Count(out, "\n") != 3 || strings.Contains(out, "Castellanos") {
		t.Errorf("%v\n%s", err, out)
	}
	out, _, err = runAuditWith(t, "", "export", "--dir", dir, "--with-parameters")
	if err != nil || !strings.Contains(out, `family_name == \"Castellanos\"`) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAccountingRefuses(t *testing.T) {
	dir := accountable(t)
	for _, tc := range []struct{ args, stdin, want string }{
		{"disclosures", subjectX1, `"dir" not set`},
		{"disclosures --dir " + dir + " --dir " + dir, subjectX1, "the same log"},
		{"disclosures --dir " + t.TempDir(), subjectX1, "is not a gateway's log"},
		{"disclosures --dir " + dir, "X1", "line 1"},
		{"disclosures --dir " + dir, "", "no identifying value"},
		{"disclosures --dir " + dir + " --withhold ncic:C", subjectX1, "PURPOSE=GROUND"},
		{"disclosures --dir " + dir + " --subject-key /nowhere/subject.key", subjectX1, "subject.key"},
		{"disclosures --dir " + dir + " -o yaml", subjectX1, "use text, json, csv, html"},
		{"corrections --dir " + dir + " -o html", subjectX1, "use text, json, csv"},
		{"report --dir " + dir + " --by user", "", "--by"},
		{"report --dir " + dir + " --since 1h --until 2h", "", "--until"},
		{"report --dir " + dir + " --since -1h", "", "--since"},
		{"export --dir " + t.TempDir(), "", "is not a gateway's log"},
	} {
		out, _, err := runAuditWith(t, tc.stdin, strings.Fields(tc.args)...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || out != "" {
			t.Errorf("%s: %v, want %q; printed %q", tc.args, err, tc.want, out)
		}
		if err != nil && strings.Contains(err.Error(), "X1") {
			t.Errorf("%s: the error repeats the person's value: %v", tc.args, err)
		}
	}
}
