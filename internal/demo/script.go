package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/internal/demo/data"
)

// script is the demonstration.
var script = []step{
	{"Who knows this person?", "A hit or no hit from each agency that an agreement lets one ask, and nothing more. Every agency asks the two others.", hits},
	{"Three formats, one question", "The police keep one column for the name, letters and numbers for codes, and days as 14.03.1997; the inspectorate cents and 19970314; the border service capitals and 03/14/1997. One filter in shared words finds her at all three.", formats},
	{"What the police may see", "One question over REST; each source gives the fields that its clause names and no others, and every record says where it comes from and under which permission.", records},
	{"A field that no agreement permits", "The labor inspectorate keeps bank accounts, and no clause gives them to anyone. Asking for one is an error, not an empty column; explain names the term.", hiddenField},
	{"Another purpose", "Same person, same fields, a purpose that nobody agreed on. The police's own gateway refuses, so nobody learns whom it was about.", wrongPurpose},
	{"Fishing", "Everyone from one country, born after a date: the clauses answer about persons who are known already.", fishing},
	{"Small numbers", "The border service may count who works for an employer, by nationality. Persons are counted, in tens; of fewer nothing is told, and no two counts can be subtracted.", smallNumbers},
	{"With consent only", "Where somebody works, the border service is told with that person's consent. Who gave none is not there.", consent},
	{"One agency suspends", "The border service's privacy officer writes one file. No other agency has to act, and the others go on answering.", suspension},
	{"An agreement's life", "The police and the labor inspectorate agree on something more: proposed, approved in two roles, signed, in force; amended, so that other fields are seen; and ended by one of them.", life},
	{"Both logs", "Source and recipient logged the disclosure of step 3 under one id, each before anything was released. Only the recipient can say which person the pseudonym is.", bothLogs},
	{"Who may ask of the logs", "The other side: do our logs agree? Whoever mistrusts: was it changed? The person concerned: who saw what of me? An overseer: what is it used for? The public: what is agreed?", accounts},
}

var task = justification{CaseReference: "HTF-2026-0417", SubjectRole: "victim"}

const investigation = "entente:trafficking-investigation"

// about is a question about one person, known by a document.
func about(p *data.Person) question {
	return question{Schema: "person", Filter: fmt.Sprintf("document_number == %q", p.Document), Purpose: investigation, Justification: task}
}

func hits(ctx context.Context, s *stage) error {
	marisol, hannah := data.Marisol(), data.Hannah()
	q := about(marisol)
	q.Granularity = "Existence"
	s.out.command(police, q.line("query"))
	header := []string{"ASKED BY", "ABOUT"}
	for _, a := range s.agencies {
		header = append(header, a.Name)
	}
	rows := [][]string{header}
	met := map[string]bool{}
	for _, p := range []*data.Person{marisol, hannah} {
		met[p.Given] = true
		knows := map[string]bool{police: p.Case != nil, labor: p.Job != nil, border: p.Border != nil}
		for _, asker := range s.agencies {
			q := about(p)
			q.Granularity = "Existence"
			a, err := s.query(ctx, asker.Name, q)
			if err != nil {
				return err
			}
			row := []string{asker.Name, p.Given + " " + p.Family}
			for _, other := range s.agencies {
				if other == asker {
					row = append(row, "·")
					continue
				}
				src := a.of(other.Name)
				row = append(row, src.short())
				if src.Outcome != "OK" || src.Exists == nil || *src.Exists != knows[other.Name] || len(a.Records) > 0 {
					met[p.Given] = false
				}
			}
			rows = append(rows, row)
		}
	}
	s.out.table(rows)
	s.out.expect(met[marisol.Given], "%s: a hit at every agency, whoever asks", marisol.Given)
	s.out.expect(met[hannah.Given], "%s: a hit at the labor inspectorate alone", hannah.Given)
	return nil
}

// formats asks in shared words for what each agency keeps in its own.
func formats(ctx context.Context, s *stage) error {
	p := data.Marisol()
	filter := fmt.Sprintf("family_name == %q && given_name == %q && birth_date == date(%q)", p.Family, p.Given, p.Birth.Format(time.DateOnly))
	found := map[string]int{}
	for _, asker := range []string{police, labor} {
		q := about(p)
		q.Filter, q.Granularity = filter, "Existence"
		s.out.command(asker, q.line("query"))
		a, err := s.query(ctx, asker, q)
		if err != nil {
			return err
		}
		s.endings(a)
		for _, src := range a.Sources {
			if src.Outcome == "OK" && src.Exists != nil && *src.Exists {
				found[src.Agency]++
			}
		}
	}
	s.out.expect(found[police] == 1 && found[labor] == 1 && found[border] == 2, "found by name and day of birth, in three spellings of both")
	return nil
}

func records(ctx context.Context, s *stage) error {
	p := data.Marisol()
	q := about(p)
	who := s.people[police]
	s.out.command(police, who.curl(q, "people/"+police))
	a, err := who.ask(ctx, q)
	if err != nil {
		return err
	}
	got := map[string]map[string]any{}
	for _, r := range a.Records {
		got[r.Source.Agency] = r.Record
		s.out.line("     %s %s", s.out.paint(bold, r.Source.Agency), s.out.paint(dim, fmt.Sprintf("dataset %s, %s clause %s, keep %d days, redisclosure %s",
			r.Source.Dataset, r.Source.Agreement, r.Source.Clause, deref(r.Source.Obligations.RetentionDays), r.Source.Obligations.Redisclosure)))
		var names, values []string
		for _, f := range slices.Sorted(maps.Keys(r.Record)) {
			names, values = append(names, f), append(values, fmt.Sprint(r.Record[f]))
		}
		s.out.table([][]string{names, values})
		if r.Source.Agency == labor {
			s.disclosure = r.Source.DisclosureID
		}
	}
	wages := map[string]any{"employer": p.Job.Employer, "employer_number": p.Job.EmployerID, "trade": p.Job.Trade, "monthly_wage": "412.5", "employed_since": p.Job.Since.Format(time.DateOnly)}
	crossings := map[string]any{"permit": p.Border.Permit, "permit_until": p.Border.Until.Format(time.DateOnly), "last_crossing": p.Border.Crossing.Format(time.RFC3339), "crossing_point": p.Border.Point}
	s.out.expect(a.Status == 200 && len(a.Records) == 2, "two sources, one record each")
	s.out.expect(maps.Equal(got[labor], wages), "%s: where she works, since when, for how much; no name, no bank account", labor)
	s.out.expect(maps.Equal(got[border], crossings), "%s: her permit and last crossing; no biometrics", border)
	traced := len(a.Records) > 0
	for _, r := range a.Records {
		traced = traced && r.Source.Agreement == agreement && r.Source.Clause != "" && r.Source.DisclosureID != "" &&
			deref(r.Source.Obligations.RetentionDays) == 90 && r.Source.Obligations.Redisclosure == "Prohibited"
	}
	s.out.expect(traced, "each record names its source, agreement, clause, disclosure and obligations")
	return nil
}

func deref(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func hiddenField(ctx context.Context, s *stage) error {
	q := about(data.Marisol())
	q.Granularity, q.Fields, q.Agencies = "Records", []string{"employer", "bank_account"}, []string{labor}
	s.out.command(police, q.line("query"))
	a, err := s.query(ctx, police, q)
	if err != nil {
		return err
	}
	s.endings(a)
	s.out.expect(refused(a, "fields", `"bank_account"`), "refused, by name: the field is not dropped in silence")
	s.out.command(police, q.line("explain"))
	e, err := s.explain(ctx, police, q)
	if err != nil {
		return err
	}
	named := false
	for _, c := range e.Clauses {
		for _, k := range c.Checks {
			if k.Passed {
				continue
			}
			s.out.refusal(fmt.Sprintf("%s  %s: check %q does not pass; term %s", c.Agency, c.Agreement, k.Name, k.Term), k.Message)
			named = named || c.Clause == "wages" && k.Name == "fields" && k.Term == "clauses[wages].fields"
		}
	}
	s.out.expect(named, "explain names the term: clauses[wages].fields of %s", agreement)
	return nil
}

func wrongPurpose(ctx context.Context, s *stage) error {
	q := about(data.Marisol())
	q.Purpose = "entente:immigration-enforcement"
	s.out.command(police, q.line("query"))
	a, err := s.query(ctx, police, q)
	if err != nil {
		return err
	}
	s.endings(a)
	s.out.expect(len(a.Sources) == 2 && refused(a, "purpose", ".purposes"), "refused for both sources, by the purposes of their clauses, before anyone was asked")
	return nil
}

func fishing(ctx context.Context, s *stage) error {
	q := about(data.Marisol())
	q.Filter = `nationality == "PH" && birth_date >= date("1995-01-01")`
	s.out.command(police, q.line("query"))
	a, err := s.query(ctx, police, q)
	if err != nil {
		return err
	}
	s.endings(a)
	s.out.expect(len(a.Sources) == 2 && refused(a, "selectors", ".requireSelectors"), "refused for both sources: the filter fixes no person")
	return nil
}

func smallNumbers(ctx context.Context, s *stage) error {
	const employer = "Harbor Seafood 7"
	ask := func(filter string) (source, error) {
		q := question{Schema: "person", Filter: filter, Purpose: investigation, Granularity: "Count", Agencies: []string{labor}, Justification: task}
		s.out.command(border, q.line("query"))
		a, err := s.query(ctx, border, q)
		if err != nil {
			return source{}, err
		}
		s.endings(a)
		return a.of(labor), nil
	}
	many, err := ask(fmt.Sprintf("employer == %q && nationality == %q", employer, "US"))
	if err != nil {
		return err
	}
	few, err := ask(fmt.Sprintf("employer == %q && nationality == %q", employer, "RO"))
	if err != nil {
		return err
	}
	all, err := ask(fmt.Sprintf("employer == %q", employer))
	if err != nil {
		return err
	}
	s.out.expect(many.Outcome == "OK" && many.Count != nil && *many.Count == 10, "sixteen of them are told as ten")
	s.out.expect(few.Outcome == "OK" && few.Suppressed && few.Count == nil, "four of them are not told from none")
	s.out.expect(all.Outcome == "DENIED" && all.Reason == "selectors", "a count of everybody, from which the others could be subtracted, is refused")
	return nil
}

func consent(ctx context.Context, s *stage) error {
	records := map[string]int{}
	for _, p := range []*data.Person{data.Marisol(), data.Hannah()} {
		q := about(p)
		q.Purpose, q.Agencies = "entente:victim-support", []string{labor}
		s.out.command(border, q.line("query"))
		a, err := s.query(ctx, border, q)
		if err != nil {
			return err
		}
		s.endings(a)
		if a.of(labor).Outcome != "OK" {
			records[p.Given] = -1
			continue
		}
		records[p.Given] = len(a.Records)
	}
	s.out.expect(records[data.Marisol().Given] == 1, "Marisol consented: her workplace is told")
	s.out.expect(records[data.Hannah().Given] == 0, "Hannah, who works too, did not: no record, as of somebody unknown")
	return nil
}

func suspension(ctx context.Context, s *stage) error {
	q := about(data.Marisol())
	before, err := s.query(ctx, police, q)
	if err != nil {
		return err
	}
	s.out.expect(before.of(labor).Outcome == "OK" && before.of(border).Outcome == "OK", "before: both answer")

	officer := "privacy-officer@" + s.agency(border).TrustDomain
	args := []string{"agreement", "decide", agreement, "--suspend", "--decided-by", officer, "--config"}
	s.out.command(border, "entente "+strings.Join(args, " ")+" "+border)
	denied := make(chan denial, 1)
	watching, stop := context.WithTimeout(ctx, patience)
	defer stop()
	go func() { denied <- s.untilDenied(watching, q) }()
	out, err := s.command(ctx, append(args, s.agency(border).dir)...)
	if err != nil {
		return err
	}
	path, _, _ := strings.Cut(string(out), " created:")
	file, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("the decision that was written: %w", err)
	}
	d := <-denied
	if d.err != nil {
		return d.err
	}
	after, err := s.query(ctx, police, q)
	if err != nil {
		return err
	}
	s.out.line("   %s", s.out.paint(dim, "the same question again, as "+police+":"))
	s.endings(after)
	took := d.at.Sub(file.ModTime())
	s.out.expect(after.of(border).Outcome == "DENIED" && !after.of(border).RefusedLocally, "%s refuses, by itself", border)
	s.out.expect(after.of(labor).Outcome == "OK" && len(after.Records) == 1, "%s answers as before", labor)
	s.out.expect(took < time.Second, "suspended → denied: %d ms from the file to the refusal at another agency", took.Milliseconds())
	own := about(data.Marisol())
	own.Granularity = "Existence"
	a, err := s.query(ctx, border, own)
	if err != nil {
		return err
	}
	none := len(a.Sources) > 0
	for _, src := range a.Sources {
		none = none && src.Outcome == "DENIED" && src.RefusedLocally
	}
	s.out.expect(none, "%s cannot ask either", border)
	return nil
}

// denial is when a source first refused.
type denial struct {
	at  time.Time
	err error
}

// untilDenied asks again and again until the border service refuses.
func (s *stage) untilDenied(ctx context.Context, q question) denial {
	q.Agencies = []string{border}
	for {
		a, err := s.people[police].ask(ctx, q)
		if err != nil {
			return denial{err: fmt.Errorf("waiting for the refusal: %w", err)}
		}
		if a.of(border).Outcome == "DENIED" {
			return denial{at: time.Now()}
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func bothLogs(ctx context.Context, s *stage) error {
	sides := map[string][]audit.Record{}
	for _, name := range []string{labor, police} {
		s.out.command(name, "entente audit show --dir "+name+"/.entente/gateway/log --disclosure "+s.disclosure+" -o json")
		out, err := s.command(ctx, "audit", "show", "--dir", s.logDir(name), "--disclosure", s.disclosure, "-o", "json")
		if err != nil {
			return err
		}
		var entries []struct{ Record audit.Record }
		if err := json.Unmarshal(out, &entries); err != nil {
			return err
		}
		for _, e := range entries {
			sides[name] = append(sides[name], e.Record)
		}
	}
	src, rcp := outcome(sides[labor]), outcome(sides[police])
	rows := [][]string{{"", "source: " + labor, "recipient: " + police}}
	row := func(name string, of func(audit.Record) string) {
		rows = append(rows, []string{name, dash(of(src)), dash(of(rcp))})
	}
	rows = append(rows, []string{"entries", kinds(sides[labor]), kinds(sides[police])})
	row("disclosure", func(r audit.Record) string { return r.Disclosure })
	row("time", func(r audit.Record) string { return r.Time.Format("15:04:05.000000") })
	row("agreement, clause", func(r audit.Record) string { return fmt.Sprintf("%s.v%d, %s", r.Agreement, r.Version, r.Clause) })
	row("purpose", func(r audit.Record) string { return r.Purpose })
	row("case", func(r audit.Record) string { return r.Justification.CaseReference })
	row("fields", func(r audit.Record) string {
		return fmt.Sprintf("%d: %s, …", len(r.Fields), strings.Join(r.Fields[:min(1, len(r.Fields))], ""))
	})
	row("records", func(r audit.Record) string { return fmt.Sprint(r.Records) })
	row("user", func(r audit.Record) string { return r.User })
	row("who that is", func(r audit.Record) string { return r.LocalUser })
	row("response digest", func(r audit.Record) string { return r.ResponseDigest })
	s.out.table(rows)
	s.out.expect(src.Disclosure == s.disclosure && rcp.Disclosure == s.disclosure && s.disclosure != "", "both have it, under one id")
	s.out.expect(src.ResponseDigest != "" && src.ResponseDigest == rcp.ResponseDigest && src.Purpose == rcp.Purpose && src.Records == rcp.Records && src.User == rcp.User,
		"both say the same of purpose, records and response")
	s.out.expect(rcp.LocalUser != "" && src.LocalUser == "", "the source does not know the analyst, the recipient does")
	for _, a := range s.agencies {
		if a.Name == police {
			s.out.command(a.Name, "entente audit verify --dir "+a.Name+"/.entente/gateway/log")
		}
		out, err := s.command(ctx, "audit", "verify", "--dir", s.logDir(a.Name))
		s.out.expect(err == nil, "%s: %s", a.Name, verdict(string(out)))
	}
	return nil
}

// outcome is the record of how it ended.
func outcome(records []audit.Record) audit.Record {
	for _, r := range records {
		if r.Kind == audit.Outcome {
			return r
		}
	}
	return audit.Record{}
}

func kinds(records []audit.Record) string {
	var out []string
	for _, r := range records {
		out = append(out, string(r.Kind))
	}
	return strings.Join(out, ", ")
}

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// verdict takes the number of entries and the result out of what verify prints.
func verdict(out string) string {
	found := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(line, ":")
		found[name] = strings.TrimSpace(value)
	}
	result, _, _ := strings.Cut(found["Result"], ";")
	return fmt.Sprintf("log of %s entries is %s", found["Entries"], result)
}

// invite says how to go on by hand.
func (s *stage) invite() {
	who := s.people[police]
	q := about(data.Marisol())
	s.out.title("It stays up. Ctrl-C stops it.", "Files: "+s.root+" (start with README.txt)")
	rows := [][]string{{"AGENCY", "REST", "GRPC", "HEALTH"}}
	for _, a := range s.agencies {
		rows = append(rows, []string{a.Name, "https://" + a.Ports.REST, a.Ports.GRPC, "http://" + a.Ports.Health + "/readyz"})
	}
	s.out.table(rows)
	s.out.command("", who.curl(q, who.dir))
	s.out.command("", ". "+who.dir+"/env\n"+q.line("query"))
	s.out.note("The border service suspended the agreement above. To let it answer again:")
	s.out.command("", fmt.Sprintf("%s agreement decide %s --resume --decided-by you --config %s", s.Binary, agreement, s.agency(border).dir))
}
