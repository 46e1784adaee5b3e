package words

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
	"github.com/entente-dev/entente/controllers/signature"
	"github.com/entente-dev/entente/gateway/route"
)

// Access is what one agency may learn of a dataset under one clause.
type Access struct {
	Agency string `json:"agency"`
	// TaskForce, as a member of which it may ask, <name>.v<version>; empty: it is a recipient by itself.
	TaskForce string `json:"taskForce,omitempty"`
	// Agreement is <id>.v<version>.
	Agreement   string   `json:"agreement"`
	Clause      string   `json:"clause"`
	Purposes    []string `json:"purposes"`
	Granularity string   `json:"granularity"`
	// Fields that answers may show, and FilterFields that queries may filter on: a filter confirms a value without showing it.
	Fields       []string `json:"fields,omitempty"`
	FilterFields []string `json:"filterFields,omitempty"`
	// Conditions, Limits and Obligations of the clause, in words.
	Conditions  []string  `json:"conditions,omitempty"`
	Limits      []string  `json:"limits,omitempty"`
	Obligations []string  `json:"obligations,omitempty"`
	NotBefore   time.Time `json:"notBefore"`
	NotAfter    time.Time `json:"notAfter"`
}

// Period is what a question is about: an instant, or all instants from From until just before Until.
type Period struct{ From, Until time.Time }

// Moment is the period of one instant.
func Moment(at time.Time) Period { return Period{at, at} }

// Day is the whole day in UTC.
func Day(at time.Time) Period {
	from := at.UTC().Truncate(24 * time.Hour)
	return Period{from, from.Add(24 * time.Hour)}
}

// WhoCanSee says who may learn what of a dataset of ours at any time in the period. It computes the answer from the
// agreements, signatures and decisions that the index has, leaving out those from after each instant; now is the time at
// which the index was gathered. With field, it is about that field alone.
//
// It says what was permitted, not what was done: that stands in the log.
func WhoCanSee(index *compile.Index, dataset, field string, when Period, now time.Time) ([]Access, error) {
	if err := knownDataset(index, dataset, field); err != nil {
		return nil, err
	}
	found := map[string]Access{}
	for _, id := range sourcing(index) {
		for _, at := range instants(index, id, when) {
			for _, a := range accessAt(index, id, dataset, field, at, now) {
				key := strings.Join([]string{a.Agency, a.Agreement, a.Clause, a.TaskForce}, "\x00")
				if before, ok := found[key]; !ok || a.NotAfter.Before(before.NotAfter) {
					found[key] = a
				}
			}
		}
	}
	out := make([]Access, 0, len(found))
	for _, a := range found {
		out = append(out, a)
	}
	slices.SortFunc(out, byAccess)
	return out, nil
}

func knownDataset(index *compile.Index, dataset, field string) error {
	d := index.Datasets[dataset]
	if d == nil {
		var names []string
		for name := range index.Datasets {
			names = append(names, name)
		}
		return fmt.Errorf("there is no Dataset %q here (%s)", dataset, cmp.Or(strings.Join(sorted(names), ", "), "there is none at all"))
	}
	if field == "" {
		return nil
	}
	var names []string
	for _, m := range d.Spec.Fields {
		names = append(names, m.Field)
	}
	if of, _, _ := strings.Cut(field, "."); !slices.Contains(names, of) {
		return fmt.Errorf("dataset %s has no field %q (%s)", dataset, field, strings.Join(sorted(names), ", "))
	}
	return nil
}

// sourcing lists the agreements in which we are a source, by id.
func sourcing(index *compile.Index) []string {
	var ids []string
	for id, versions := range index.Agreements {
		if slices.ContainsFunc(versions, func(a *v1alpha1.SharingAgreement) bool {
			return slices.ContainsFunc(a.Spec.Terms.Clauses, func(c v1alpha1.Clause) bool { return c.Source == index.Self })
		}) {
			ids = append(ids, id)
		}
	}
	return sorted(ids)
}

// instants in the period at which what an agreement permits may change: its beginning, and every clock, decision and
// signature in it.
func instants(index *compile.Index, id string, p Period) []time.Time {
	out := []time.Time{p.From}
	add := func(t time.Time) {
		if t.After(p.From) && t.Before(p.Until) {
			out = append(out, t.UTC())
		}
	}
	for _, a := range index.Agreements[id] {
		add(a.Spec.Terms.Term.NotBefore.Time)
		add(a.Spec.Terms.Term.NotAfter.Time)
		for _, ref := range compile.PinnedTaskForces(&a.Spec.Terms) {
			if f := index.TaskForces[compile.TaskForceName(ref)]; f != nil {
				add(f.Spec.Window.NotBefore.Time)
				add(f.Spec.Window.NotAfter.Time)
			}
		}
		for _, s := range a.Status.Received {
			add(s.DecidedAt.Time)
		}
		for _, d := range index.Decisions[a.Name] {
			add(d.CreationTimestamp.Time)
		}
		for _, d := range a.Status.Decisions {
			add(d.DecidedAt.Time)
		}
		for _, s := range slices.Concat(a.Spec.Signatures, a.Status.Signatures) {
			if _, at := said(s.JWS); at != nil {
				add(*at)
			}
		}
	}
	return out
}

// accessAt asks the compiler what it would have published then.
func accessAt(index *compile.Index, id, dataset, field string, at, now time.Time) []Access {
	x := asOf(index, id, at, now)
	result := compile.CompileAgreement(x, id, compile.Prior{}, at)
	if result.Route == nil {
		return nil
	}
	v := result.Route.Current(at)
	if v == nil {
		return nil
	}
	name := fmt.Sprintf("%s.v%d", id, v.Version)
	terms := map[string]Clause{}
	for _, a := range x.Agreements[id] {
		if a.Name == name {
			for i := range a.Spec.Terms.Clauses {
				c := TaskForces(x.TaskForces).clause(&a.Spec.Terms.Clauses[i])
				terms[c.Name] = c
			}
		}
	}
	var out []Access
	for i := range v.Clauses {
		c := &v.Clauses[i]
		if !about(c, dataset, field) {
			continue
		}
		said := terms[c.Name]
		for _, r := range c.Recipients {
			from, until, ok := mayAsk(v, r, at)
			if !ok {
				continue
			}
			out = append(out, Access{
				Agency: r.Agency, TaskForce: r.TaskForce, Agreement: name, Clause: c.Name, Purposes: c.Purposes, Granularity: c.Granularity,
				Fields: shown(c), FilterFields: c.FilterFields,
				Conditions: said.Conditions, Limits: said.Limits, Obligations: said.Obligations,
				NotBefore: from, NotAfter: until,
			})
		}
	}
	return out
}

// mayAsk says whether the recipient may ask at an instant, and the window around it in which it may.
func mayAsk(v *route.Version, r route.Recipient, at time.Time) (from, until time.Time, ok bool) {
	from, until = v.NotBefore, v.NotAfter
	if r.TaskForce == "" {
		return from, until, true
	}
	if r.NotBefore.After(from) {
		from = r.NotBefore
	}
	if r.NotAfter.Before(until) {
		until = r.NotAfter
	}
	return from, until, !at.Before(from) && at.Before(until)
}

// about says whether the clause is about the dataset and, unless it is empty, the field.
func about(c *route.Clause, dataset, field string) bool {
	if !slices.ContainsFunc(c.Datasets, func(d route.Dataset) bool { return d.Name == dataset }) {
		return false
	}
	return field == "" || touches(shown(c), field) || touches(c.FilterFields, field)
}

// touches says whether the paths name the field, the record that it is a member of, or a member of it.
func touches(paths []string, field string) bool {
	return slices.ContainsFunc(paths, func(p string) bool {
		return p == field || strings.HasPrefix(p, field+".") || strings.HasPrefix(field, p+".")
	})
}

func shown(c *route.Clause) []string {
	if c.Granularity != string(v1alpha1.GranularityRecords) {
		return nil
	}
	return c.Fields
}

// asOf is the index without what was decided and signed after at. What is known at now is left as it is. Of the rest
// (agencies, schemas, mappings) there is no history: it counts as it stands.
func asOf(index *compile.Index, id string, at, now time.Time) *compile.Index {
	if !at.Before(now) {
		return index
	}
	x := *index
	x.Agreements = map[string][]*v1alpha1.SharingAgreement{}
	x.Decisions = map[string][]*v1alpha1.AgreementDecision{}
	for _, a := range index.Agreements[id] {
		a = a.DeepCopy()
		a.DeletionTimestamp = nil
		a.Status.State = "" // what replaced it is found again, if it had by then
		a.Status.Decisions = slices.DeleteFunc(a.Status.Decisions, func(d v1alpha1.DecisionRecord) bool { return d.DecidedAt.After(at) })
		later := func(s v1alpha1.AgreementSignature) bool { return signedAfter(s, index.Agencies[s.Agency], at) }
		a.Spec.Signatures = slices.DeleteFunc(a.Spec.Signatures, later)
		a.Status.Signatures = slices.DeleteFunc(a.Status.Signatures, later)
		a.Status.Received = slices.DeleteFunc(a.Status.Received, func(s v1alpha1.AgreementStatement) bool { return s.DecidedAt.After(at) })
		x.Agreements[id] = append(x.Agreements[id], a)
		for _, d := range index.Decisions[a.Name] {
			if !d.CreationTimestamp.After(at) {
				x.Decisions[a.Name] = append(x.Decisions[a.Name], d)
			}
		}
	}
	return &x
}

// signedAfter: a signature that does not verify counts for nothing, so its date is of no interest.
func signedAfter(s v1alpha1.AgreementSignature, agency *v1alpha1.Agency, at time.Time) bool {
	if agency == nil {
		return false
	}
	claims, err := signature.Verify(s.JWS, s.Agency, keysOf(agency))
	return err == nil && claims.DecidedAt.After(at)
}

// AccessText is a table of who may see what.
func AccessText(rows []Access, dataset, field string, p Period) string {
	of := "dataset " + plain(dataset)
	if field != "" {
		of = "field " + plain(field) + " of " + of
	}
	at := "on " + when(p.From)
	if p.From.Equal(p.Until) {
		at = "at " + p.From.UTC().Format(time.RFC3339)
	}
	if len(rows) == 0 {
		return fmt.Sprintf("No other agency may see %s %s.\n", of, at)
	}
	var b strings.Builder
	agencies := map[string]bool{}
	for _, r := range rows {
		agencies[r.Agency] = true
	}
	what := fmt.Sprintf("%d agencies may", len(agencies))
	if len(agencies) == 1 {
		what = "1 agency may"
	}
	fmt.Fprintf(&b, "%s ask about %s %s.\n", what, of, at)
	for _, r := range rows {
		fmt.Fprintf(&b, "\n%s%s, under %s/%s until %s\n", r.Agency, r.through(), r.Agreement, r.Clause, when(r.NotAfter))
		b.WriteString(wrap(r.sees(field), "  sees      ", "            "))
		b.WriteString(wrap(strings.Join(r.Purposes, ", "), "  for       ", "            "))
		for i, c := range slices.Concat(r.Conditions, r.Limits) {
			label := "            "
			if i == 0 {
				label = "  provided  "
			}
			b.WriteString(wrap(c, label, "            "))
		}
	}
	return b.String()
}

// sees says what an access shows, of one field or of all.
func (a *Access) sees(field string) string {
	switch {
	case field != "" && touches(a.Fields, field):
		return "its value"
	case field != "":
		return fmt.Sprintf("no value, but may filter on it and so confirm one (granularity %s)", a.Granularity)
	case a.Granularity == string(v1alpha1.GranularityRecords):
		return and(a.Fields)
	}
	return learnt[v1alpha1.Granularity(a.Granularity)]
}

// AccessTable is a row for each access; -o text and -o json say more.
func AccessTable(rows []Access, field string) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 2, 8, 2, ' ', 0)
	sees := "FIELDS"
	if field != "" {
		sees = strings.ToUpper(plain(field))
	}
	named := slices.ContainsFunc(rows, func(r Access) bool { return r.TaskForce != "" })
	through := func(column string) string { // only where there is something to say
		if !named {
			return ""
		}
		return cmp.Or(column, "-") + "\t"
	}
	fmt.Fprintf(w, "AGENCY\t%sAGREEMENT\tCLAUSE\tGRANULARITY\t%s\tPURPOSES\tUNTIL\n", through("TASK FORCE"), sees)
	for _, r := range rows {
		shown := cmp.Or(strings.Join(r.Fields, ","), "-")
		switch {
		case field != "" && touches(r.Fields, field):
			shown = "shown"
		case field != "":
			shown = "filter only"
		}
		fmt.Fprintf(w, "%s\t%s%s\t%s\t%s\t%s\t%s\t%s\n", r.Agency, through(r.TaskForce), r.Agreement, r.Clause, r.Granularity, shown, strings.Join(r.Purposes, ","), when(r.NotAfter))
	}
	_ = w.Flush() // a strings.Builder does not fail
	return out.String()
}
