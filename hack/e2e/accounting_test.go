package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/internal/accounting"
	"github.com/entente-dev/entente/internal/demo/data"
)

// accounts: what the labor inspectorate tells a person, whose records the police found by name, from sealed payloads, with the
// token that PostgreSQL's subject key made; and what it tells an overseer and the public.
func accounts(t *testing.T, s *scene) {
	p := data.Marisol()
	q := about(p)
	q.Agencies = []string{stack.Labor}
	q.Filter = fmt.Sprintf("family_name == %q && given_name == %q && birth_date == date(%q)", p.Family, p.Given, p.Birth.Format(time.DateOnly))
	answer := ask(t, s.police, q)
	id := answer.Of(stack.Labor).DisclosureID
	if len(answer.Records) != 1 {
		t.Fatalf("%d records: %+v", len(answer.Records), answer)
	}
	subject := filepath.Join(t.TempDir(), "person.txt")
	must(t, os.WriteFile(subject, []byte("person.document_number="+p.Document+"\n"), 0o600))
	where := append([]string{"--dir", s.labor.LogDir(), "-n", stack.Labor}, s.labor.LogKeys()...)
	run := func(args ...string) string {
		t.Helper()
		out, err := s.Command(t.Context(), append(args, where...)...)
		must(t, err)
		return out
	}

	var account accounting.Account
	must(t, json.Unmarshal([]byte(run("audit", "disclosures", "--subject", subject, "--for-person", "-o", "json")), &account))
	found := false
	for _, d := range account.Disclosures {
		if d.ID != id {
			continue
		}
		found = true
		if d.Recipient.Name != "State Police" || d.Recipient.Address != "1 Capitol Road" || d.Records != 1 || d.Purpose != investigation || d.Internal != nil {
			t.Errorf("%+v", d)
		}
	}
	if !found {
		t.Errorf("the person is not told of %s, which named no document number: %+v", id, account.Disclosures)
	}
	text := run("audit", "disclosures", "--subject", subject, "--for-person", "--withhold", investigation+"=5 U.S.C. 552a(c)(3), (b)(7)")
	if strings.Contains(text, id) || strings.Contains(text, investigation) {
		t.Errorf("what is withheld leaves a trace:\n%s", text)
	}
	contains(t, run("audit", "corrections", "--subject", subject, "--field", "monthly_wage"), id)
	report := run("audit", "report")
	contains(t, report, "harbor-task-force")
	if strings.Contains(report, p.Document) || strings.Contains(report, p.Family) {
		t.Errorf("the report names a person:\n%s", report)
	}
	site := filepath.Join(t.TempDir(), "public")
	run("register", "build", "--out", site)
	page, err := os.ReadFile(filepath.Join(site, "index.html"))
	must(t, err)
	contains(t, string(page), "Labor Inspectorate")
}
