// Package jsonform is the JSON form of answers, the same over REST and from the command line. It is written out here because
// protobuf's JSON mapping is deliberately unstable, and because records are objects by field name, not rows of values.
package jsonform

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
)

type provenance struct {
	Agency       string       `json:"agency"`
	Dataset      string       `json:"dataset"`
	Agreement    string       `json:"agreement"`
	Clause       string       `json:"clause"`
	DisclosureID string       `json:"disclosureId"`
	Obligations  *obligations `json:"obligations"`
}

type obligations struct {
	RetentionDays          *int64 `json:"retentionDays,omitempty"`
	Redisclosure           string `json:"redisclosure"`
	VerifyBeforeActionDays *int64 `json:"verifyBeforeActionDays,omitempty"`
	NoActionBefore         string `json:"noActionBefore,omitempty"`
	DestroyBy              string `json:"destroyBy,omitempty"`
}

func obligationsOf(o *gatewayv1.Obligations) *obligations {
	if o == nil {
		o = &gatewayv1.Obligations{}
	}
	return &obligations{
		RetentionDays: o.RetentionDays, Redisclosure: cmp.Or(o.GetRedisclosure(), "Prohibited"), // 5 U.S.C. 552a(o)(1)(H)
		VerifyBeforeActionDays: o.VerifyBeforeActionDays, NoActionBefore: o.GetNoActionBefore(), DestroyBy: o.GetDestroyBy(),
	}
}

// SourceStatus is how one source ended.
type SourceStatus struct {
	Agency         string `json:"agency"`
	Outcome        string `json:"outcome"`
	Reason         string `json:"reason,omitempty"`
	Message        string `json:"message,omitempty"`
	Agreement      string `json:"agreement,omitempty"`
	Clause         string `json:"clause,omitempty"`
	DisclosureID   string `json:"disclosureId,omitempty"`
	Granularity    string `json:"granularity,omitempty"`
	Exists         *bool  `json:"exists,omitempty"`
	Count          *int64 `json:"count,omitempty"`
	CountStep      int64  `json:"countStep,omitempty"`
	Suppressed     bool   `json:"suppressed,omitempty"`
	Records        int64  `json:"records"`
	ElapsedMicros  int64  `json:"elapsedMicros"`
	RefusedLocally bool   `json:"refusedLocally,omitempty"`
	// Obligations for what was answered; nil when nothing was.
	Obligations *obligations `json:"obligations,omitempty"`
	// QuotaLeft of the clause's daily quotas after the query; nil when it has none.
	QuotaLeft *quotaLeft `json:"quotaLeft,omitempty"`
}

type quotaLeft struct {
	Day     string `json:"day"`
	Queries *int64 `json:"queries,omitempty"`
	Records *int64 `json:"records,omitempty"`
}

// QuerySummary is how the query ended.
type QuerySummary struct {
	QueryID       string `json:"queryId"`
	Sources       int32  `json:"sources"`
	OK            int32  `json:"ok"`
	Records       int64  `json:"records"`
	Complete      bool   `json:"complete"`
	ElapsedMicros int64  `json:"elapsedMicros"`
	// NextPageToken asks for the next page; "": there is none.
	NextPageToken string `json:"nextPageToken,omitempty"`
	// Duplicates are records that stand under another one's also.
	Duplicates int64 `json:"duplicates,omitempty"`
}

// Granularity is Existence, Count or Records; "" for none.
func Granularity(g gatewayv1.Granularity) string {
	switch g {
	case gatewayv1.Granularity_GRANULARITY_EXISTENCE:
		return "Existence"
	case gatewayv1.Granularity_GRANULARITY_COUNT:
		return "Count"
	case gatewayv1.Granularity_GRANULARITY_RECORDS:
		return "Records"
	}
	return ""
}

// Status gives the JSON form of a source's status.
func Status(s *gatewayv1.SourceStatus) SourceStatus {
	out := SourceStatus{
		Agency: s.GetAgency(), Outcome: strings.TrimPrefix(s.GetOutcome().String(), "OUTCOME_"), Reason: s.GetReason(),
		Message: s.GetMessage(), Agreement: s.GetAgreement(), Clause: s.GetClause(), DisclosureID: s.GetDisclosureId(),
		Granularity: Granularity(s.GetGranularity()), Exists: s.Exists, Count: s.Count, CountStep: s.GetCountStep(), Suppressed: s.GetSuppressed(), Records: s.GetRecords(),
		ElapsedMicros: s.GetElapsedMicros(), RefusedLocally: s.GetRefusedLocally(),
	}
	if l := s.GetQuotaLeft(); l != nil {
		out.QuotaLeft = &quotaLeft{Day: l.GetDay(), Queries: l.Queries, Records: l.Records}
	}
	if s.GetObligations() != nil {
		out.Obligations = obligationsOf(s.GetObligations())
	}
	return out
}

// Summary gives the JSON form of the summary.
func Summary(s *gatewayv1.QuerySummary) *QuerySummary {
	return &QuerySummary{
		QueryID: s.GetQueryId(), Sources: s.GetSources(), OK: s.GetOk(), Records: s.GetRecords(), Complete: s.GetComplete(),
		ElapsedMicros: s.GetElapsedMicros(), NextPageToken: s.GetNextPageToken(), Duplicates: s.GetDuplicates(),
	}
}

// holding is who else holds a record.
type holding struct {
	Source  provenance `json:"source"`
	Records int64      `json:"records"`
	Differs []string   `json:"differs,omitempty"`
}

func provenanceOf(p *gatewayv1.Provenance) provenance {
	return provenance{
		Agency: p.GetAgency(), Dataset: p.GetDataset(), Agreement: p.GetAgreement(), Clause: p.GetClause(), DisclosureID: p.GetDisclosureId(),
		Obligations: obligationsOf(p.GetObligations()),
	}
}

// Batch writes the records of one batch as {"source":{…},"record":{…}}.
type Batch struct {
	prefix string   // up to the record's first member
	names  []string // "name":
	// members of those fields that are records, as names.
	members [][]string
}

// NewBatch prepares what the records of a batch have in common.
func NewBatch(b *gatewayv1.RecordBatch) *Batch {
	source, _ := json.Marshal(provenanceOf(b.GetProvenance()))
	e := &Batch{prefix: `{"source":` + string(source) + `,"record":{`}
	e.names = memberNames(b.GetFields())
	for i, f := range b.GetFields() {
		if set := b.GetMembers()[f]; set != nil {
			if e.members == nil {
				e.members = make([][]string, len(e.names))
			}
			e.members[i] = memberNames(set.GetFields())
		}
	}
	return e
}

// memberNames writes the names of an object's members as they stand before its values.
func memberNames(fields []string) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		name := appendString(nil, f)
		if i > 0 {
			name = append([]byte{','}, name...)
		}
		out[i] = string(name) + ":"
	}
	return out
}

// Append appends one record.
func (e *Batch) Append(to []byte, r *gatewayv1.Record) []byte {
	to = append(to, e.prefix...)
	for i, v := range r.GetValues() {
		if i == len(e.names) {
			break // the core has seen to it that there are as many
		}
		to = append(to, e.names[i]...)
		var members []string
		if e.members != nil {
			members = e.members[i]
		}
		to = appendValue(to, v, members)
	}
	to = append(to, '}')
	if len(r.GetAlso()) > 0 {
		also := make([]holding, len(r.GetAlso()))
		for i, h := range r.GetAlso() {
			also[i] = holding{provenanceOf(h.GetProvenance()), h.GetRecords(), h.GetDiffers()}
		}
		b, _ := json.Marshal(also)
		to = append(append(to, `,"also":`...), b...)
	}
	return append(to, '}')
}

// Value is the JSON of a value; fields are the members of a record, or of the records in a list.
func Value(v *gatewayv1.Value, fields *gatewayv1.FieldSet) string {
	return string(appendValue(nil, v, memberNames(fields.GetFields())))
}

// Marks are the obligations' redisclosure and days, as they stand in JSON; "" for what is not there.
func Marks(o *gatewayv1.Obligations) (redisclosure, destroyBy, noActionBefore string) {
	out := obligationsOf(o)
	return out.Redisclosure, out.DestroyBy, out.NoActionBefore
}

// appendValue writes a value: a repeated field as an array, a record as an object with the members.
func appendValue(to []byte, v *gatewayv1.Value, members []string) []byte {
	switch k := v.GetKind().(type) {
	case *gatewayv1.Value_Text:
		return appendString(to, k.Text)
	case *gatewayv1.Value_Integer:
		return strconv.AppendInt(to, k.Integer, 10)
	case *gatewayv1.Value_Boolean:
		return strconv.AppendBool(to, k.Boolean)
	case *gatewayv1.Value_List:
		to = append(to, '[')
		for i, e := range k.List.GetValues() {
			if i > 0 {
				to = append(to, ',')
			}
			to = appendValue(to, e, members)
		}
		return append(to, ']')
	case *gatewayv1.Value_Nested:
		to = append(to, '{')
		for i, e := range k.Nested.GetValues() {
			if i == len(members) {
				break // the core has seen to it that there are as many
			}
			to = append(to, members[i]...)
			to = appendValue(to, e, nil)
		}
		return append(to, '}')
	}
	return append(to, "null"...)
}

// appendString writes a JSON string. Plain text, which is nearly all of it, is copied.
func appendString(to []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s)
			return append(to, quoted...)
		}
	}
	to = append(to, '"')
	to = append(to, s...)
	return append(to, '"')
}

type checkResult struct {
	Name    string `json:"name"`
	Passed  bool   `json:"passed"`
	Term    string `json:"term,omitempty"`
	Message string `json:"message,omitempty"`
	Change  string `json:"change,omitempty"`
}

type sourceQuery struct {
	Dataset   string `json:"dataset,omitempty"`
	System    string `json:"system,omitempty"`
	Statement string `json:"statement"`
}

type clauseExplanation struct {
	Agency    string        `json:"agency"`
	Agreement string        `json:"agreement,omitempty"`
	Clause    string        `json:"clause,omitempty"`
	Allowed   bool          `json:"allowed"`
	Chosen    bool          `json:"chosen"`
	Checks    []checkResult `json:"checks"`
	// SourceQuery is what the source would run, without values.
	SourceQuery []sourceQuery `json:"sourceQuery,omitempty"`
	// Maintenance of the source's agency, now or to come.
	Maintenance *maintenance `json:"maintenance,omitempty"`
}

type maintenance struct {
	From   string `json:"from,omitempty"`
	Until  string `json:"until"`
	Reason string `json:"reason"`
}

// Explanation gives the JSON form of an explanation.
func Explanation(r *gatewayv1.ExplainResponse) any {
	out := []clauseExplanation{}
	for _, c := range r.GetClauses() {
		e := clauseExplanation{Agency: c.GetAgency(), Agreement: c.GetAgreement(), Clause: c.GetClause(), Allowed: c.GetAllowed(), Chosen: c.GetChosen(), Checks: []checkResult{}}
		for _, k := range c.GetChecks() {
			e.Checks = append(e.Checks, checkResult{k.GetName(), k.GetPassed(), k.GetTerm(), k.GetMessage(), k.GetChange()})
		}
		for _, q := range c.GetSourceQuery() {
			e.SourceQuery = append(e.SourceQuery, sourceQuery{q.GetDataset(), q.GetSystem(), q.GetStatement()})
		}
		if m := c.GetMaintenance(); m != nil {
			e.Maintenance = &maintenance{Until: m.GetUntil().AsTime().Format(time.RFC3339), Reason: m.GetReason()}
			if m.GetFrom() != nil {
				e.Maintenance.From = m.GetFrom().AsTime().Format(time.RFC3339)
			}
		}
		out = append(out, e)
	}
	return map[string]any{"clauses": out}
}

type offeredDataset struct {
	Agency           string     `json:"agency"`
	Schema           string     `json:"schema"`
	Agreement        string     `json:"agreement"`
	Clause           string     `json:"clause"`
	Purposes         []string   `json:"purposes"`
	Granularity      string     `json:"granularity"`
	Fields           []string   `json:"fields"`
	FilterFields     []string   `json:"filterFields"`
	RequireSelectors [][]string `json:"requireSelectors,omitempty"`
	NotAfter         string     `json:"notAfter"`
	// FieldTypes of the fields that may be disclosed or filtered on.
	FieldTypes map[string]string `json:"fieldTypes,omitempty"`
}

// Datasets gives the JSON form of what may be asked.
func Datasets(r *gatewayv1.ListDatasetsResponse) any {
	out := []offeredDataset{}
	for _, d := range r.GetDatasets() {
		o := offeredDataset{
			Agency: d.GetAgency(), Schema: d.GetSchema(), Agreement: d.GetAgreement(), Clause: d.GetClause(), Purposes: list(d.GetPurposes()),
			Granularity: Granularity(d.GetGranularity()), Fields: list(d.GetFields()), FilterFields: list(d.GetFilterFields()),
			NotAfter: d.GetNotAfter().AsTime().Format(time.RFC3339), FieldTypes: d.GetFieldTypes(),
		}
		for _, s := range d.GetRequireSelectors() {
			o.RequireSelectors = append(o.RequireSelectors, s.GetFields())
		}
		out = append(out, o)
	}
	answer := map[string]any{"datasets": out}
	if r.GetNextPageToken() != "" {
		answer["nextPageToken"] = r.GetNextPageToken()
	}
	return answer
}

// list makes an empty list [] rather than null.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// ParseGranularity takes Existence, existence or GRANULARITY_EXISTENCE, and so on.
func ParseGranularity(s string) (gatewayv1.Granularity, bool) {
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "GRANULARITY_") {
		name = "GRANULARITY_" + name
	}
	g, ok := gatewayv1.Granularity_value[name]
	return gatewayv1.Granularity(g), ok && g != 0
}
