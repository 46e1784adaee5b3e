package e2e

import (
	"context"
	"crypto/tls"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/internal/demo/data"
)

// story: what `kubectl get` and `kubectl describe` show of an agreement in force.
func story(t *testing.T, s *scene) {
	for _, a := range s.Agencies {
		must(t, a.WaitConditions(t.Context(), stack.Agreement, stack.InForce...))
	}
	out, err := s.Kubectl(t.Context(), "get", "agr,gwr,dset,agency", "-n", s.police.Name)
	must(t, err)
	t.Log("\n" + out)
	contains(t, out, stack.Agreement, "InForce", "gatewayroute.entente.dev/"+stack.AgreementID, "Active", "case-subjects", "border-service", "labor-inspectorate")
	if strings.Contains(out, "<invalid>") {
		t.Error("a column shows <invalid>")
	}
	out, err = s.Kubectl(t.Context(), "describe", "agr", stack.Agreement, "-n", s.labor.Name)
	must(t, err)
	contains(t, out, "labor/database/roles/harbor-task-force.wage-records", "SourceDatabase", "served by labor-inspectorate-0")
}

// expectMarisol checks what the police may know of a person whom all agencies know: these fields, and no others.
func expectMarisol(t *testing.T, a *stack.Answer) {
	t.Helper()
	p := data.Marisol()
	want := map[string]map[string]any{
		stack.Labor:  {"employer": p.Job.Employer, "employer_number": p.Job.EmployerID, "trade": p.Job.Trade, "monthly_wage": "412.50", "employed_since": p.Job.Since.Format(time.DateOnly)},
		stack.Border: {"permit": p.Border.Permit, "permit_until": p.Border.Until.Format(time.DateOnly), "last_crossing": p.Border.Crossing.Format(time.RFC3339), "crossing_point": p.Border.Point},
	}
	clause := map[string]string{stack.Labor: "wages", stack.Border: "crossings"}
	if len(a.Records) != 2 || len(a.Sources) != 2 || a.Summary == nil || !a.Summary.Complete {
		t.Fatalf("want one record of each of two sources: %+v", a)
	}
	for _, r := range a.Records {
		src := r.Source
		if !maps.Equal(r.Record, want[src.Agency]) {
			t.Errorf("%s gave %v, want %v", src.Agency, r.Record, want[src.Agency])
		}
		if src.Agreement != stack.Agreement || src.Clause != clause[src.Agency] || src.DisclosureID == "" || src.DisclosureID != a.Of(src.Agency).DisclosureID {
			t.Errorf("provenance %+v", src)
		}
		if o := src.Obligations; o.RetentionDays == nil || *o.RetentionDays != 90 || o.Redisclosure != "Prohibited" {
			t.Errorf("obligations %+v", o)
		}
	}
}

func recordsOverREST(t *testing.T, s *scene) {
	a := ask(t, s.police, about(data.Marisol()))
	if a.Status != http.StatusOK {
		t.Fatalf("status %d: %+v", a.Status, a)
	}
	expectMarisol(t, a)
	// The line that people are given works as it stands.
	if _, err := exec.LookPath("curl"); err == nil {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", s.police.Analyst.Curl(about(data.Marisol()))).Output()
		must(t, err)
		contains(t, string(out), `"agency":"labor-inspectorate"`, `"agency":"border-service"`, `"monthly_wage":"412.50"`)
	}
	// Whoever has no record says so, and nothing else.
	a = ask(t, s.police, about(data.Hannah()))
	if got := a.Of(stack.Border); len(a.Records) != 1 || got.Outcome != "OK" || got.Records != 0 {
		t.Errorf("a person whom the border service does not know: %+v", a)
	}
}

func recordsOverGRPC(t *testing.T, s *scene) {
	a, err := s.police.Analyst.AskGRPC(t.Context(), about(data.Marisol()))
	must(t, err)
	expectMarisol(t, a)
	out, err := s.police.Analyst.Entente(t.Context(), "query", "person", "--filter", about(data.Marisol()).Filter, "--purpose", investigation,
		"--case-reference", "HTF-2026-0417", "--subject-role", "victim", "--agencies", stack.Labor)
	must(t, err)
	contains(t, out, "MONTHLY_WAGE", "412.50")
}

func lesserGranularity(t *testing.T, s *scene) {
	for _, tc := range []struct {
		asker  *stack.Agency
		about  *data.Person
		of     string
		exists bool
	}{
		{s.labor, data.Marisol(), stack.Police, true},
		{s.border, data.Marisol(), stack.Labor, true},
		{s.police, data.Marisol(), stack.Border, true},
		{s.police, data.Hannah(), stack.Border, false},
		{s.labor, data.Hannah(), stack.Police, false},
	} {
		q := about(tc.about)
		q.Granularity, q.Agencies = "Existence", []string{tc.of}
		a := ask(t, tc.asker, q)
		if got := a.Of(tc.of); got.Outcome != "OK" || got.Exists == nil || *got.Exists != tc.exists || got.Count != nil || len(a.Records) != 0 {
			t.Errorf("%s about %s of %s: %+v", tc.asker.Name, tc.about.Given, tc.of, a)
		}
	}

	// A clause that says only how many.
	q := about(data.Marisol())
	q.Filter, q.Purpose, q.Granularity, q.Agencies = `employer_number == "E-0507"`, "entente:labor-statistics", "Count", []string{stack.Labor}
	a := ask(t, s.police, q)
	var want int64
	must(t, superuser(t, s, s.labor).QueryRow(t.Context(), "SELECT count(*) FROM wage_records WHERE employer_no = 'E-0507'").Scan(&want))
	if got := a.Of(stack.Labor); got.Outcome != "OK" || got.Count == nil || *got.Count != want || want < 2 || len(a.Records) != 0 {
		t.Errorf("count %+v, the table has %d", got, want)
	}
	q.Granularity = "Records"
	if got := ask(t, s.police, q); got.Of(stack.Labor).Outcome != "DENIED" || got.Of(stack.Labor).Reason != "granularity" {
		t.Errorf("records under a clause of Count: %+v", got)
	}
}

func notPermitted(t *testing.T, s *scene) {
	for _, tc := range []struct {
		name, reason, says string
		edit               func(*stack.Question)
	}{
		{"a field that no clause gives", "fields", `"bank_account"`, func(q *stack.Question) {
			q.Fields, q.Agencies = []string{"employer", "bank_account"}, []string{stack.Labor}
		}},
		{"another purpose", "purpose", ".purposes", func(q *stack.Question) { q.Purpose = "entente:immigration-enforcement" }},
		{"no selectors", "selectors", ".requireSelectors", func(q *stack.Question) { q.Filter = `nationality == "PH"` }},
		{"no case", "case", "", func(q *stack.Question) { q.Justification.CaseReference = "mine" }},
		{"a hidden field in the filter", "filter", `"monthly_wage"`, func(q *stack.Question) {
			q.Filter += ` && monthly_wage > decimal("400")`
			q.Agencies = []string{stack.Labor}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := about(data.Marisol())
			tc.edit(&q)
			a := ask(t, s.police, q)
			if len(a.Sources) == 0 || len(a.Records) != 0 {
				t.Fatalf("%+v", a)
			}
			for _, src := range a.Sources {
				if src.Outcome != "DENIED" || !strings.Contains(src.Reason, tc.reason) || !strings.Contains(src.Message, tc.says) {
					t.Errorf("%s: %s by %q: %s", src.Agency, src.Outcome, src.Reason, src.Message)
				}
			}
		})
	}
	// A filter that does not type-check is the caller's mistake, with its position.
	q := about(data.Marisol())
	q.Filter = `birth_date == "1997-03-14"`
	if a := ask(t, s.police, q); a.Status != http.StatusBadRequest || a.Detail == "" {
		t.Errorf("a filter that does not type-check: %+v", a)
	}
	if _, err := s.police.Analyst.AskGRPC(t.Context(), q); status.Code(err) != codes.InvalidArgument {
		t.Errorf("over gRPC: %v", err)
	}
}

// strangers get nothing: without a certificate, with one of another agency's users, with an agency's own.
func strangers(t *testing.T, s *scene) {
	request := func(certificates ...tls.Certificate) int {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certificates}}} // who asks is what is tested
		defer c.CloseIdleConnections()
		resp, err := c.Get("https://" + s.police.Addresses.REST + "/v1/datasets")
		if err != nil {
			return 0 // refused in the handshake
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := request(); got != http.StatusUnauthorized {
		t.Errorf("without a certificate: %d", got)
	}
	other, err := tls.LoadX509KeyPair(s.border.Analyst.Dir+"/cert.pem", s.border.Analyst.Dir+"/key.pem")
	must(t, err)
	if got := request(other); got != 0 {
		t.Errorf("with a certificate of the border service's users: %d", got)
	}
}

func superuser(t *testing.T, s *scene, a *stack.Agency) *pgx.Conn {
	t.Helper()
	return connect(t, s.Postgres.AdminURL(a.Short))
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = c.Close(ctx)
	})
	return c
}

// rolesOf are the users that Vault made at the agency's database under an agreement: what `\du` shows.
func rolesOf(t *testing.T, s *scene, a *stack.Agency, agreementID string) []string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), s.Postgres.AdminURL(a.Short)) // closed here: this is called again and again
	must(t, err)
	defer c.Close(context.WithoutCancel(t.Context()))
	rows, err := c.Query(t.Context(), "SELECT rolname FROM pg_roles WHERE rolname LIKE $1", "entente-"+a.SourceRole(agreementID)+"-%")
	must(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return names
}

// columnGrants: what `\du` and `\dp` show while the agreement is in force.
func columnGrants(t *testing.T, s *scene) {
	want := map[string][]string{
		stack.Labor:  {"born_on", "document_no", "employed_since", "employer_name", "employer_no", "first_name", "gross_monthly", "last_name", "nationality", "trade"},
		stack.Border: {"birth_date", "crossing_point", "family_name", "given_name", "last_crossing", "nationality", "permit", "permit_until", "travel_document"},
		stack.Police: {"case_state", "dob", "forenames", "id_document", "surname"}, // of an existence clause: its filter, its row filter
	}
	hidden := map[string]string{stack.Labor: "bank_account", stack.Border: "biometrics_ref", stack.Police: "officer_notes"}
	for _, a := range s.Agencies {
		c := superuser(t, s, a)
		roles := rolesOf(t, s, a, stack.AgreementID)
		if len(roles) == 0 {
			t.Errorf("%s: no role, though it answered", a.Name)
		}
		for _, role := range roles {
			rows, err := c.Query(t.Context(), "SELECT column_name::text FROM information_schema.column_privileges WHERE grantee = $1 AND table_name = $2 AND privilege_type = 'SELECT' ORDER BY 1", role, a.Relation)
			must(t, err)
			columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
			must(t, err)
			if !slices.Equal(columns, want[a.Name]) {
				t.Errorf("%s may read %v, want %v", role, columns, want[a.Name])
			}
			var beyond bool
			must(t, c.QueryRow(t.Context(), `SELECT r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolbypassrls OR has_table_privilege(r.oid, $2, 'SELECT, INSERT, UPDATE, DELETE')
				OR EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.member = r.oid) FROM pg_roles r WHERE rolname = $1`, role, a.Relation).Scan(&beyond))
			if beyond {
				t.Errorf("%s has more than column grants", role)
			}
		}
		// The database itself refuses, and other agencies' databases do not even let in.
		user, password, err := a.SourceCredential(t.Context(), stack.AgreementID)
		must(t, err)
		own := connect(t, s.Postgres.URL(a.Short, user, password))
		if _, err := own.Exec(t.Context(), "SELECT "+hidden[a.Name]+" FROM "+a.Relation+" LIMIT 1"); !isCode(err, "42501") {
			t.Errorf("%s: reading %s: %v", a.Name, hidden[a.Name], err)
		}
		if _, err := own.Exec(t.Context(), "UPDATE "+a.Relation+" SET "+want[a.Name][0]+" = NULL"); err == nil {
			t.Errorf("%s: may write", a.Name)
		}
		for _, other := range s.Agencies {
			if other != a {
				if conn, err := pgx.Connect(t.Context(), s.Postgres.URL(other.Short, user, password)); err == nil {
					_ = conn.Close(t.Context())
					t.Errorf("the role of %s may enter the database of %s", a.Name, other.Name)
				}
			}
		}
	}
	if c, err := s.labor.Condition(t.Context(), stack.Agreement, v1alpha1.ConditionCredentialsReady); err != nil || c.Status != "True" {
		t.Errorf("CredentialsReady: %+v %v", c, err)
	}
}
