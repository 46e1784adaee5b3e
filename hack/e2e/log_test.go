package e2e

import (
	"encoding/json"
	"testing"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/internal/demo/data"
)

// logged are the records of one disclosure in an agency's log, as the command shows them.
func logged(t *testing.T, s *scene, a *stack.Agency, disclosure string) map[audit.Kind]audit.Record {
	t.Helper()
	out, err := s.Command(t.Context(), append([]string{"audit", "show", "--dir", a.LogDir(), "--disclosure", disclosure, "-o", "json"}, a.LogKeys()...)...)
	must(t, err)
	var entries []struct{ Record audit.Record }
	must(t, json.Unmarshal([]byte(out), &entries))
	records := map[audit.Kind]audit.Record{}
	for _, e := range entries {
		records[e.Record.Kind] = e.Record
	}
	return records
}

func bothLogs(t *testing.T, s *scene) {
	q := about(data.Marisol())
	q.Agencies = []string{stack.Labor}
	id := ask(t, s.police, q).Of(stack.Labor).DisclosureID
	at, of := logged(t, s, s.police, id)[audit.Outcome], logged(t, s, s.labor, id)[audit.Outcome]
	if at.Side != audit.Recipient || of.Side != audit.Source || at.Disclosure != id || of.Disclosure != id {
		t.Fatalf("recipient: %+v\nsource: %+v", at, of)
	}
	if of.ResponseDigest == "" || of.ResponseDigest != at.ResponseDigest || of.Purpose != investigation || at.Purpose != investigation ||
		of.Records != 1 || at.Records != 1 || of.User != at.User || of.Justification != at.Justification || of.Agreement != at.Agreement {
		t.Errorf("the two sides differ:\nrecipient: %+v\nsource: %+v", at, of)
	}
	if of.LocalUser != "" || at.LocalUser == "" || of.User == "" {
		t.Errorf("the source knows %q, the recipient %q", of.LocalUser, at.LocalUser)
	}
	if of.SubjectToken == "" || of.Source != stack.Labor || of.Recipient != stack.Police || of.Fields == nil {
		t.Errorf("the accounting lacks something: %+v", of)
	}
	// A refusal is logged as well.
	q.Purpose = "entente:immigration-enforcement"
	refused := ask(t, s.police, q).Of(stack.Labor)
	if r, ok := logged(t, s, s.police, refused.DisclosureID)[audit.Denial]; !ok || r.Reason != "purpose" {
		t.Errorf("the denial in the log: %+v", r)
	}
	logsAreWhole(t, s)
}

func logsAreWhole(t *testing.T, s *scene) {
	for _, a := range s.Agencies {
		out, err := s.Command(t.Context(), "audit", "verify", "--dir", a.LogDir())
		if err != nil {
			t.Errorf("%s: %v\n%s", a.Name, err, out)
		}
		contains(t, out, "whole")
	}
}
