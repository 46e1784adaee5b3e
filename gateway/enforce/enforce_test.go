package enforce

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
)

var (
	now    = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	police = route.Party{Agency: "state-police", TrustDomain: "police.example"}
	labor  = route.Party{Agency: "labor-inspectorate", TrustDomain: "labor.example"}
)

// testInput is a query that is permitted; each case changes one thing of it.
func testInput() Input {
	return Input{
		Asked: Asked{
			Recipient: labor, Agreement: "anvil", Version: 1, Clause: "subjects", Schema: "person",
			Filter: `family_name == "Okafor" && birth_date == date("1990-02-03")`,
			Fields: []string{"family_name", "case_status"}, Granularity: "Records",
			Purpose: "entente:trafficking-investigation", CaseReference: "TF-2041", SubjectRole: "victim", Limit: 10,
		},
		Credential: &Credential{Agreement: "anvil", Recipient: "labor-inspectorate"},
		Route: &route.Route{
			Format: route.Format, Agreement: "anvil", Sequence: 1, Self: police,
			Versions: []route.Version{{
				Version: 1, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
				Clauses: []route.Clause{{
					Name: "subjects", Source: route.Peer{Party: police}, Recipients: []route.Recipient{{Party: labor}},
					Schema: route.Schema{Name: "person", Version: 1, Digest: "sha256:test", Fields: []route.Field{
						{Name: "family_name", Type: "string"}, {Name: "birth_date", Type: "date"},
						{Name: "case_status", Type: "code", Codes: []string{"open", "closed"}}, {Name: "informant", Type: "string"},
					}},
					Purposes: []string{"entente:trafficking-investigation"}, Granularity: "Records",
					Fields: []string{"family_name", "birth_date", "case_status"}, FilterFields: []string{"family_name", "birth_date"},
					RowFilter: `case_status == "open"`, CaseReference: "TF-[0-9]{4}",
					RequireSelectors: [][]string{{"family_name", "birth_date"}}, SubjectRoles: []string{"suspect", "victim"},
					RecordsPerQuery: 50,
				}},
			}},
		},
		Now:     now,
		Compile: filter.Compile,
	}
}

// jurisdictions: under which the query is made, which the clause permits, and which bind the recipient.
func jurisdictions(asked string, permitted, binding []string) func(*Input) {
	return func(in *Input) {
		in.Asked.Jurisdiction, clauseOf(in).Jurisdictions = asked, permitted
		clauseOf(in).RecipientJurisdictions = map[string][]string{"labor-inspectorate": binding}
	}
}

// attributes: what the clause asks of the user, and what the user has.
func attributes(expression string, claims map[string]any) func(*Input) {
	return func(in *Input) { clauseOf(in).UserAttributes, in.Asked.Claims = expression, claims }
}

// through makes the recipient one as a member of a task force, with a window around now.
func through(in *Input, from, until time.Duration) {
	clauseOf(in).Recipients = []route.Recipient{{Party: labor, TaskForce: "harbor.v1", NotBefore: now.Add(from), NotAfter: now.Add(until)}}
}

// consenting makes the clause one of a source that reads rows only with consent.
func consenting(in *Input) *route.Clause {
	c := clauseOf(in)
	c.Consent = "consents"
	c.Datasets = []route.Dataset{{Name: "cases", SubjectKey: "family_name", Consent: &route.Consent{
		Rule: "given", Purpose: "purpose", Recipient: "agency", NotBefore: "since", NotAfter: "until", Subject: "person",
		Schema: route.Schema{Name: "consent", Fields: []route.Field{
			{Name: "person", Type: "string"}, {Name: "given", Type: "bool"}, {Name: "purpose", Type: "string"}, {Name: "agency", Type: "string"},
			{Name: "since", Type: "date"}, {Name: "until", Type: "timestamp"},
		}},
	}}}
	return c
}

func clauseOf(in *Input) *route.Clause { return &in.Route.Versions[0].Clauses[0] }

func TestDecidePermits(t *testing.T) {
	plan, refusal := Decide(testInput())
	if refusal != nil {
		t.Fatal(refusal)
	}
	if got := plan.Fields; !slices.Equal(got, []string{"family_name", "case_status"}) {
		t.Errorf("fields %q", got)
	}
	if plan.Limit != 10 || plan.Granularity != "Records" || plan.RowFilter == nil || plan.Filter == nil || plan.Version.Version != 1 {
		t.Errorf("plan %+v", plan)
	}
}

func TestDecideFillsIn(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(*Input)
		want func(*Plan) bool
	}{
		"no fields: all permitted":        {func(in *Input) { in.Asked.Fields = nil }, func(p *Plan) bool { return len(p.Fields) == 3 }},
		"no limit: the clause's":          {func(in *Input) { in.Asked.Limit = 0 }, func(p *Plan) bool { return p.Limit == 50 }},
		"limit above the clause's":        {func(in *Input) { in.Asked.Limit = 5000 }, func(p *Plan) bool { return p.Limit == 50 }},
		"clause without a limit":          {func(in *Input) { in.Asked.Limit, clauseOf(in).RecordsPerQuery = 0, 0 }, func(p *Plan) bool { return p.Limit == route.DefaultRecordsPerQuery }},
		"no granularity: the most":        {func(in *Input) { in.Asked.Granularity = "" }, func(p *Plan) bool { return p.Granularity == "Records" }},
		"no granularity on a lower rung":  {func(in *Input) { in.Asked.Granularity, clauseOf(in).Granularity = "", "Existence" }, func(p *Plan) bool { return p.Granularity == "Existence" && p.Fields == nil }},
		"less than the clause permits":    {func(in *Input) { in.Asked.Granularity = "Existence" }, func(p *Plan) bool { return p.Granularity == "Existence" && p.Fields == nil }},
		"any version":                     {func(in *Input) { in.Asked.Version = 0 }, func(p *Plan) bool { return p.Version.Version == 1 }},
		"schema with its version":         {func(in *Input) { in.Asked.Schema = "person.v1" }, func(p *Plan) bool { return p.Clause != nil }},
		"at the recipient: no credential": {func(in *Input) { in.Credential = nil }, func(p *Plan) bool { return p.Clause != nil }},
		"no selectors wanted, no filter": {func(in *Input) { in.Asked.Filter, clauseOf(in).RequireSelectors = "", nil },
			func(p *Plan) bool { return p.Filter == nil && p.RowFilter != nil }},
		"under the law that the clause names": {jurisdictions("", []string{"US"}, []string{"US"}), func(p *Plan) bool { return p.Clause != nil }},
		"under the law of a part of it":       {jurisdictions("", []string{"DE", "US"}, []string{"US-CA", "US-NV"}), func(p *Plan) bool { return p.Clause != nil }},
		"under the law that the query names":  {jurisdictions("US", []string{"US"}, []string{"DE", "US"}), func(p *Plan) bool { return p.Clause != nil }},
		"a jurisdiction that nobody asks for": {jurisdictions("US", nil, nil), func(p *Plan) bool { return p.Clause != nil }},
		"a sworn user":                        {attributes(`claims.sworn == true`, map[string]any{"sworn": true}), func(p *Plan) bool { return string(p.ClaimsJSON()) == `{"sworn":true}` }},
		"at the recipient, only what is read goes on": {func(in *Input) {
			attributes(`claims.sworn == true`, map[string]any{"sworn": true, "salary": "2041"})(in)
			in.Credential = nil
		}, func(p *Plan) bool { return string(p.ClaimsJSON()) == `{"sworn":true}` }},
		"at the recipient, claims that nobody reads": {func(in *Input) {
			attributes("", map[string]any{"sworn": true})(in)
			in.Credential = nil
		}, func(p *Plan) bool { return p.Claims == nil }},
		"no window of its own: until the end of the version": {func(*Input) {}, func(p *Plan) bool { return p.Until.Equal(p.Version.NotAfter) }},
		"a member of a task force: until its end":            {func(in *Input) { through(in, 0, time.Minute) }, func(p *Plan) bool { return p.Until.Equal(now.Add(time.Minute)) }},
		"a task force that outlives the version":             {func(in *Input) { through(in, 0, 48*time.Hour) }, func(p *Plan) bool { return p.Until.Equal(p.Version.NotAfter) }},
		"a recipient by itself, too, though the task force ended": {func(in *Input) {
			through(in, -time.Hour, -time.Minute)
			clauseOf(in).Recipients = append(clauseOf(in).Recipients, route.Recipient{Party: labor})
		}, func(p *Plan) bool { return p.Until.Equal(p.Version.NotAfter) }},
		"two task forces, of which one is open": {func(in *Input) {
			through(in, -time.Hour, -time.Minute)
			clauseOf(in).Recipients = append(clauseOf(in).Recipients, route.Recipient{Party: labor, TaskForce: "quay.v1", NotBefore: now.Add(-1), NotAfter: now.Add(time.Second)})
		}, func(p *Plan) bool { return p.Until.Equal(now.Add(time.Second)) }},
		"an order":                         {func(in *Input) { in.Asked.Order = []Order{{Field: "family_name", Descending: true}} }, func(p *Plan) bool { return len(p.Order) == 1 && p.Order[0].Descending }},
		"an order of what is only counted": {func(in *Input) { in.Asked.Order, in.Asked.Granularity = []Order{{Field: "family_name"}}, "Count" }, func(p *Plan) bool { return p.Order == nil }},
		"one whole group":                  {counting(""), func(p *Plan) bool { return p.Granularity == "Count" }},
		"the last query of the day": {func(in *Input) {
			clauseOf(in).QueriesPerDay, clauseOf(in).RecordsPerDay, in.Left = 10, 100, &Left{Queries: 1, Records: 1}
		}, func(p *Plan) bool { return p.Limit == 10 }},
		"a hit needs no record left": {func(in *Input) {
			clauseOf(in).RecordsPerDay, in.Left, in.Asked.Granularity = 100, &Left{}, "Existence"
		}, func(p *Plan) bool { return p.Granularity == "Existence" }},
		"what is left is not known": {func(in *Input) { clauseOf(in).QueriesPerDay = 1 }, func(p *Plan) bool { return p.Clause != nil }},
		"consent to this purpose and recipient, today": {func(in *Input) { consenting(in) }, func(p *Plan) bool {
			return p.Consents["cases"].Text() == `(given
) && purpose == "entente:trafficking-investigation" && agency == "labor-inspectorate" && (since == null || since <= date("2026-06-01")) && (until == null || until > timestamp("2026-06-01T12:00:00Z"))`
		}},
		"every row is a consent": {func(in *Input) {
			*consenting(in).Datasets[0].Consent = route.Consent{}
		}, func(p *Plan) bool { f, ok := p.Consents["cases"]; return ok && f == nil }},
		"first instant of the window": {func(in *Input) { in.Now = in.Route.Versions[0].NotBefore }, func(p *Plan) bool { return p.Version != nil }},
	} {
		t.Run(name, func(t *testing.T) {
			in := testInput()
			tc.edit(&in)
			plan, refusal := Decide(in)
			if refusal != nil {
				t.Fatal(refusal)
			}
			if !tc.want(plan) {
				t.Errorf("plan %+v", plan)
			}
		})
	}
}

// refusals: each case breaks one thing; the named check must refuse, and say the term.
var refusals = []struct {
	name, check, term string
	invalid           bool
	edit              func(*Input)
}{
	{"too many fields", "request", "", true, func(in *Input) { in.Asked.Fields = make([]string, 257) }},
	{"negative limit", "request", "", true, func(in *Input) { in.Asked.Limit = -1 }},
	{"no purpose", "request", "", true, func(in *Input) { in.Asked.Purpose = "" }},
	{"control character", "request", "", true, func(in *Input) { in.Asked.CaseReference = "TF-1\n" }},
	{"not UTF-8", "request", "", true, func(in *Input) { in.Asked.SubjectRole = "\xff" }},
	{"long text", "request", "", true, func(in *Input) { in.Asked.Aim = strings.Repeat("x", 257) }},
	{"credential of another agreement", "credential", "", false, func(in *Input) { in.Credential.Agreement = "other" }},
	{"credential of another recipient", "credential", "", false, func(in *Input) { in.Credential.Recipient = "border-service" }},
	{"no route", "agreement", "", false, func(in *Input) { in.Route = nil }},
	{"route of another agreement", "agreement", "", false, func(in *Input) { in.Route.Agreement = "other" }},
	{"suspended", "agreement", "status.state", false, func(in *Input) { in.Route.Tombstone = &route.Tombstone{Reason: "Suspended"} }},
	{"before the window", "agreement", "term", false, func(in *Input) { in.Now = in.Route.Versions[0].NotBefore.Add(-1) }},
	{"first instant after the window", "agreement", "term", false, func(in *Input) { in.Now = in.Route.Versions[0].NotAfter }},
	{"another version", "agreement", "version", false, func(in *Input) { in.Asked.Version = 2 }},
	{"no such clause", "clause", "clauses", false, func(in *Input) { in.Asked.Clause = "x" }},
	{"no recipient", "clause", "clauses[subjects].recipients", false, func(in *Input) { clauseOf(in).Recipients = nil }},
	{"recipient of another trust domain", "clause", "clauses[subjects].recipients", false, func(in *Input) { in.Asked.Recipient.TrustDomain = "evil.example" }},
	{"before the task force's window", "task-force", "clauses[subjects].recipients", false, func(in *Input) { through(in, time.Second, time.Minute) }},
	{"first instant after the task force's window", "task-force", "clauses[subjects].recipients", false, func(in *Input) { through(in, -time.Minute, 0) }},
	{"task force of another trust domain", "clause", "clauses[subjects].recipients", false, func(in *Input) {
		through(in, -time.Minute, time.Minute)
		in.Asked.Recipient.TrustDomain = "evil.example"
	}},
	{"a party withdrew", "withdrawal", "status.state", false, func(in *Input) { clauseOf(in).Withheld = "withdrawn by agency state-police" }},
	{"another schema", "schema", "clauses[subjects].schema", false, func(in *Input) { in.Asked.Schema = "vehicle" }},
	{"longer schema name", "schema", "clauses[subjects].schema", false, func(in *Input) { in.Asked.Schema = "persons" }},
	{"another schema version", "schema", "clauses[subjects].schema", false, func(in *Input) { in.Asked.Schema = "person.v2" }},
	{"schema version spelt otherwise", "schema", "clauses[subjects].schema", false, func(in *Input) { in.Asked.Schema = "person.v01" }},
	{"another purpose", "purpose", "clauses[subjects].purposes", false, func(in *Input) { in.Asked.Purpose = "entente:immigration-enforcement" }},
	{"no case reference", "case-reference", "clauses[subjects].conditions.caseReference", false, func(in *Input) { in.Asked.CaseReference = "" }},
	{"case reference matches in part", "case-reference", "clauses[subjects].conditions.caseReference", false, func(in *Input) { in.Asked.CaseReference = "xTF-2041" }},
	{"alternation does not escape the anchors", "case-reference", "clauses[subjects].conditions.caseReference", false, func(in *Input) {
		clauseOf(in).CaseReference, in.Asked.CaseReference = "A|B", "AxB"
	}},
	{"pattern that does not compile", "case-reference", "clauses[subjects].conditions.caseReference", false, func(in *Input) { clauseOf(in).CaseReference = "(" }},
	{"another role", "subject-role", "clauses[subjects].conditions.subjectRoles", false, func(in *Input) { in.Asked.SubjectRole = "witness" }},
	{"recipient whose law is unknown", "jurisdiction", "clauses[subjects].conditions.jurisdictions", false, jurisdictions("", []string{"US"}, nil)},
	{"recipient under another law", "jurisdiction", "clauses[subjects].conditions.jurisdictions", false, jurisdictions("", []string{"US"}, []string{"DE", "FR-75"})},
	{"bound in two places, and says not for which", "jurisdiction", "clauses[subjects].conditions.jurisdictions", false, jurisdictions("", []string{"US"}, []string{"DE", "US"})},
	{"asks for the place that is not permitted", "jurisdiction", "clauses[subjects].conditions.jurisdictions", false, jurisdictions("DE", []string{"US"}, []string{"DE", "US"})},
	{"asks for a place that does not bind it", "jurisdiction", "clauses[subjects].conditions.jurisdictions", false, jurisdictions("US", []string{"US"}, []string{"DE"})},
	{"asks for a part of the country that binds it", "jurisdiction", "clauses[subjects].conditions.jurisdictions", false, jurisdictions("US-CA", []string{"US-CA"}, []string{"US"})},
	{"the country is not within its part", "jurisdiction", "clauses[subjects].conditions.jurisdictions", false, jurisdictions("", []string{"US-CA"}, []string{"US"})},
	{"control character in a jurisdiction", "request", "", true, jurisdictions("US\n", []string{"US"}, []string{"US"})},
	{"claim missing", "user-attributes", "clauses[subjects].conditions.userAttributes", false, attributes(`claims.sworn == true`, nil)},
	{"claim missing, negated", "user-attributes", "clauses[subjects].conditions.userAttributes", false, attributes(`claims.sworn != false`, nil)},
	{"claim false", "user-attributes", "clauses[subjects].conditions.userAttributes", false, attributes(`claims.sworn == true`, map[string]any{"sworn": false})},
	{"claim of another type", "user-attributes", "clauses[subjects].conditions.userAttributes", false, attributes(`claims.sworn == true`, map[string]any{"sworn": "true"})},
	{"claim that is an object", "user-attributes", "clauses[subjects].conditions.userAttributes", false, attributes(`claims.sworn == true`, map[string]any{"sworn": map[string]any{}})},
	{"claim that is huge", "user-attributes", "clauses[subjects].conditions.userAttributes", false, attributes(`claims.sworn != ""`, map[string]any{"sworn": strings.Repeat("x", 5000)})},
	{"a claim that the clause does not read", "user-attributes", "", true, attributes(`claims.sworn == true`, map[string]any{"sworn": true, "salary": "2041"})},
	{"claims for a clause that reads none", "user-attributes", "", true, attributes("", map[string]any{"sworn": true})},
	{"a condition that does not compile", "user-attributes", "clauses[subjects].conditions.userAttributes", false, attributes(`claims.`, map[string]any{"sworn": true})},
	{"unknown granularity", "granularity", "", true, func(in *Input) { in.Asked.Granularity = "records" }},
	{"granularity above the clause's", "granularity", "clauses[subjects].granularity", false, func(in *Input) { clauseOf(in).Granularity = "Count" }},
	{"clause of unknown granularity", "granularity", "clauses[subjects].granularity", false, func(in *Input) { clauseOf(in).Granularity = "All" }},
	{"field not permitted", "fields", "clauses[subjects].fields", false, func(in *Input) { in.Asked.Fields = []string{"informant"} }},
	{"field not permitted, at a lower rung", "fields", "clauses[subjects].fields", false, func(in *Input) {
		in.Asked.Fields, in.Asked.Granularity = []string{"informant"}, "Count"
	}},
	{"field not in the schema", "fields", "", true, func(in *Input) { in.Asked.Fields = []string{"shoe_size"} }},
	{"field twice", "fields", "", true, func(in *Input) { in.Asked.Fields = []string{"family_name", "family_name"} }},
	{"filter does not parse", "filter", "", true, func(in *Input) { in.Asked.Filter = `family_name == ` }},
	{"filter of a wrong type", "filter", "", true, func(in *Input) { in.Asked.Filter = `family_name == 3` }},
	{"filter on a hidden field", "filter-fields", "clauses[subjects].filterFields", false, func(in *Input) { in.Asked.Filter += ` && informant == "x"` }},
	{"order by a field that is in no schema", "order", "", true, func(in *Input) { in.Asked.Order = []Order{{Field: "shoe_size"}} }},
	{"order by a field twice", "order", "", true, func(in *Input) {
		in.Asked.Order = []Order{{Field: "family_name"}, {Field: "family_name", Descending: true}}
	}},
	{"order by what queries may not filter on", "order", "clauses[subjects].filterFields", false, func(in *Input) { in.Asked.Order = []Order{{Field: "case_status"}} }},
	{"order by a hidden field", "order", "clauses[subjects].filterFields", false, func(in *Input) { in.Asked.Order = []Order{{Field: "informant"}} }},
	{"order by a selector that is not disclosed", "order", "clauses[subjects].fields", false, func(in *Input) {
		clauseOf(in).Fields, in.Asked.Fields = []string{"family_name"}, nil
		in.Asked.Order = []Order{{Field: "birth_date"}}
	}},
	{"order by a field that is not asked for", "order", "", false, func(in *Input) { in.Asked.Order = []Order{{Field: "birth_date"}} }},
	{"de-duplicate by what queries may not filter on", "order", "clauses[subjects].filterFields", false, func(in *Input) { in.Asked.Deduplicate = []string{"case_status"} }},
	{"nine fields to order by", "request", "", true, func(in *Input) { in.Asked.Order = make([]Order, 9) }},
	{"no filter: fishing", "selectors", "clauses[subjects].conditions.requireSelectors", false, func(in *Input) { in.Asked.Filter = "" }},
	{"half a selector", "selectors", "clauses[subjects].conditions.requireSelectors", false, func(in *Input) { in.Asked.Filter = `family_name == "Okafor"` }},
	{"selector widened by or", "selectors", "clauses[subjects].conditions.requireSelectors", false, func(in *Input) { in.Asked.Filter += ` || family_name != ""` }},
	{"selector by range", "selectors", "clauses[subjects].conditions.requireSelectors", false, func(in *Input) {
		in.Asked.Filter = `family_name == "Okafor" && birth_date >= date("1900-01-01")`
	}},
	{"selector negated", "selectors", "clauses[subjects].conditions.requireSelectors", false, func(in *Input) { in.Asked.Filter = "!(" + in.Asked.Filter + ")" }},
	{"records under a minimum count", "minimum-count", "clauses[subjects].limits.minimumCount", false, func(in *Input) { clauseOf(in).MinimumCount = 5 }},
	{"a lower rung of a clause of records", "minimum-count", "clauses[subjects].limits.minimumCount", false, func(in *Input) {
		clauseOf(in).MinimumCount, in.Asked.Granularity = 5, "Count"
	}},
	{"two partitions", "minimum-count", "clauses[subjects].limits.minimumCount", false, func(in *Input) {
		counting("")(in)
		clauseOf(in).RequireSelectors = append(clauseOf(in).RequireSelectors, []string{"family_name"})
	}},
	{"a part of a group", "minimum-count", "clauses[subjects].limits.minimumCount", false, counting(` && family_name.startsWith("O")`)},
	{"a group but for one", "minimum-count", "clauses[subjects].limits.minimumCount", false, counting(` && family_name != "Doe"`)},
	{"no query left", "quota", "clauses[subjects].limits.queriesPerDay", false, func(in *Input) { clauseOf(in).QueriesPerDay, in.Left = 10, &Left{Records: 5} }},
	{"no record left", "quota", "clauses[subjects].limits.recordsPerDay", false, func(in *Input) {
		clauseOf(in).QueriesPerDay, clauseOf(in).RecordsPerDay, in.Left = 10, 100, &Left{Queries: 1}
	}},
	{"a dataset without consents", "consent", "clauses[subjects].conditions.consent", false, func(in *Input) { consenting(in).Datasets[0].Consent = nil }},
	{"a dataset without a subject key", "consent", "clauses[subjects].conditions.consent", false, func(in *Input) { consenting(in).Datasets[0].SubjectKey = "" }},
	{"a rule of consent that does not compile", "consent", "clauses[subjects].conditions.consent", false, func(in *Input) { consenting(in).Datasets[0].Consent.Rule = "nonsense(" }},
	{"row filter that does not compile", "row-filter", "clauses[subjects].rowFilter", false, func(in *Input) { clauseOf(in).RowFilter = "nonsense(" }},
	{"a filter that an API does not take", "source", "", true, func(in *Input) { byAPI(in, "family_name", "case_status") }},
	{"similarity that the source does not have", "source", "", true, func(in *Input) {
		byDatabase(in, "").Asked.Filter = `similarity(family_name, "x") >= 0.5 && ` + in.Asked.Filter
	}},
	{"a row filter with similarity that the source does not have", "source", "clauses[subjects].rowFilter", false, func(in *Input) { clauseOf(byDatabase(in, "")).RowFilter = `similarity(family_name, "x") >= 0.5` }},
	{"a row filter that an API does not take", "source", "clauses[subjects].rowFilter", false, func(in *Input) { byAPI(in, "family_name", "birth_date") }},
}

// byAPI has the records come from an API that compares these fields.
func byAPI(in *Input, fields ...string) {
	h := &route.HTTP{}
	for _, f := range fields {
		h.Filters = append(h.Filters, route.HTTPFilter{Field: f, Comparison: "Equal", Place: route.HTTPPlace{In: "query", Name: f}})
	}
	clauseOf(in).Datasets = []route.Dataset{{Name: "cases", HTTP: h}}
}

// byDatabase has the records come from a database whose pg_trgm is in that schema.
func byDatabase(in *Input, trigrams string) *Input {
	clauseOf(in).Datasets = []route.Dataset{{Name: "cases", PostgreSQL: &route.PostgreSQL{TrigramSchema: trigrams}}}
	return in
}

// TestFiltersAreBoundToTheClock: the plan holds days, not words for them.
func TestFiltersAreBoundToTheClock(t *testing.T) {
	in := testInput()
	byDatabase(&in, "ext")
	in.Now = in.Now.In(time.FixedZone("", 14*3600)) // where it is tomorrow
	in.Asked.Filter += ` && birth_date <= today() && similarity(family_name, "x") >= 0.5`
	clauseOf(&in).RowFilter = `birth_date > today() - years(18)`
	plan, r := Decide(in)
	if r != nil {
		t.Fatal(r.Message)
	}
	today := in.Now.UTC().Format(time.DateOnly)
	if got := plan.Filter.Canonical(); !strings.Contains(got, `birth_date <= date("`+today+`")`) {
		t.Error(got)
	}
	if got := plan.RowFilter.Canonical(); got != `birth_date > date("`+in.Now.UTC().AddDate(-18, 0, 0).Format(time.DateOnly)+`")` {
		t.Error(got)
	}
}

func TestAPI(t *testing.T) {
	in := testInput()
	byAPI(&in, "family_name", "birth_date", "case_status")
	if _, r := Decide(in); r != nil {
		t.Error(r.Message)
	}
}

func TestDecideRefuses(t *testing.T) {
	seen := map[string]bool{}
	for _, tc := range refusals {
		seen[tc.check] = true
		t.Run(tc.name, func(t *testing.T) {
			in := testInput()
			tc.edit(&in)
			plan, r := Decide(in)
			if r == nil {
				t.Fatalf("permitted: %+v", plan)
			}
			if plan != nil {
				t.Error("a plan beside a refusal")
			}
			if r.Check != tc.check || r.Term != tc.term || r.Invalid != tc.invalid {
				t.Errorf("refused by %q, term %q, invalid %v (%s); want %q, %q, %v", r.Check, r.Term, r.Invalid, r.Message, tc.check, tc.term, tc.invalid)
			}
			if r.Message == "" || r.Change == "" {
				t.Errorf("no message, or nothing to change: %+v", r)
			}
			// Who may not mend it by another query is told which term the parties would have to amend; and the other way round.
			if term := "amendment of " + r.Term; strings.Contains(r.Change, "amendment of clauses") && !strings.Contains(r.Change, term) {
				t.Errorf("%s: the step is for another term: %s", r.Term, r.Change)
			}
			if r.Invalid && strings.Contains(r.Change, "amendment") {
				t.Errorf("no amendment mends what is malformed: %s", r.Change)
			}
			for _, secret := range []string{"Okafor", "2041"} {
				if strings.Contains(r.Message+r.Change+r.Member, secret) {
					t.Errorf("the message repeats what may be personal data: %s", r.Message)
				}
			}
			// Explain must come to the same first refusal.
			results, _ := Explain(in)
			i := slices.IndexFunc(results, func(r Result) bool { return !r.Passed })
			if i < 0 || results[i].Name != tc.check || results[i].Message != r.Message || results[i].Term != r.Term || results[i].Change != r.Change {
				t.Errorf("Explain says %+v", results)
			}
			if _, _, got := Try(in); got != i {
				t.Errorf("progress %d, want %d", got, i)
			}
		})
	}
	for _, c := range Checks {
		if !seen[c.Name] && c.Name != "limit" { // limit only narrows
			t.Errorf("no case is refused by check %q", c.Name)
		}
	}
}

func TestExplainRunsAll(t *testing.T) {
	in := testInput()
	in.Asked.Purpose = "entente:other"
	in.Asked.Filter = `family_name == "Okafor"`
	var failed []string
	all, plan := Explain(in)
	if plan == nil || plan.Filter == nil || plan.RowFilter == nil || len(plan.Fields) != 2 {
		t.Errorf("what would be done does not depend on what failed: %+v", plan)
	}
	for _, r := range all {
		if !r.Passed {
			failed = append(failed, r.Name)
		}
	}
	if want := []string{"purpose", "selectors"}; !slices.Equal(failed, want) {
		t.Errorf("failed %q, want %q", failed, want)
	}
	in.Route = nil
	results, plan := Explain(in)
	if plan != nil {
		t.Errorf("without a route: %+v", plan)
	}
	if len(results) != len(Checks) || !results[len(results)-1].Skipped {
		t.Errorf("without a route: %+v", results)
	}
}

// TestDecideLeavesInputAlone: routes are shared by all queries.
func TestDecideLeavesInputAlone(t *testing.T) {
	in, same := testInput(), testInput()
	in.Compile, same.Compile = nil, nil
	run := in
	run.Compile = filter.Compile
	_, _ = Decide(run)
	if !reflect.DeepEqual(in, same) {
		t.Error("the input changed")
	}
}

func BenchmarkDecide(b *testing.B) {
	in := testInput()
	cache := filter.NewCache(128)
	in.Compile = cache.Compile
	payload, err := route.Encode(in.Route)
	if err != nil {
		b.Fatal(err)
	}
	if in.Route, err = route.Decode(payload); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, r := Decide(in); r != nil {
			b.Fatal(r)
		}
	}
}

func BenchmarkExplain(b *testing.B) {
	in := testInput()
	cache := filter.NewCache(128)
	in.Compile = cache.Compile
	b.ReportAllocs()
	for b.Loop() {
		Explain(in)
	}
}
