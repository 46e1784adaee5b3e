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
)

// Duty is what a party owes by a date, in words.
type Duty struct {
	Name   string `json:"name"`
	Agency string `json:"agency"`
	What   string `json:"what"`
	// When it is owed, by the terms.
	When string `json:"when"`
	Term string `json:"term,omitempty"`
	// State, empty while nothing is owed: see v1alpha1.DutyState.
	State  string     `json:"state,omitempty"`
	Due    *time.Time `json:"due,omitempty"`
	DoneAt *time.Time `json:"doneAt,omitempty"`
	DoneBy string     `json:"doneBy,omitempty"`
}

// Duties lists what the parties owe under the terms and, where the agreement's status is about these terms, where each duty stands.
func Duties(a *v1alpha1.SharingAgreement) ([]Duty, error) {
	digest, err := a.Spec.Terms.Digest()
	if err != nil {
		return nil, err
	}
	out := []Duty{}
	for _, d := range compile.Duties(&a.Spec.Terms) {
		duty := Duty{Name: plain(d.Name), Agency: plain(d.Agency), What: plain(d.What), When: dutyWhen(&d), Term: plain(d.Term)}
		i := slices.IndexFunc(a.Status.Duties, func(s v1alpha1.DutyStatus) bool { return s.Name == d.Name && s.Agency == d.Agency })
		if i >= 0 && a.Status.Digest == digest {
			s := &a.Status.Duties[i]
			due := s.Due.UTC()
			duty.State, duty.Due, duty.DoneBy = plain(string(s.State)), &due, plain(s.DoneBy)
			if s.DoneAt != nil {
				at := s.DoneAt.UTC()
				duty.DoneAt = &at
			}
		}
		out = append(out, duty)
	}
	return out, nil
}

func dutyWhen(d *compile.Duty) string {
	const day = 24 * time.Hour
	switch {
	case !d.DueBy.IsZero():
		return "by " + when(d.DueBy)
	case d.Every == day:
		return "every day"
	case d.Every > 0:
		return "every " + count(int64(d.Every/day), "day")
	case d.AfterEnd == 0:
		return "at the end"
	}
	return "within " + count(int64(d.AfterEnd/day), "day") + " of the end"
}

// stands says where the duty stands. Of another party than the one whose status this is, nothing more is known than what came by
// the exchange.
func (d *Duty) stands() string {
	switch v1alpha1.DutyState(d.State) {
	case "":
		return "not owed"
	case v1alpha1.DutyPending:
		return "due later"
	case v1alpha1.DutyWithin90Days:
		return "due within 90 days"
	case v1alpha1.DutyWithin30Days:
		return "due within 30 days"
	case v1alpha1.DutyWithin7Days:
		return "due within 7 days"
	case v1alpha1.DutyOverdue:
		return "OVERDUE"
	}
	return strings.ToLower(d.State)
}

// attested says when it was attested, and by whom; empty: it was not.
func (d *Duty) attested() string {
	if d.DoneAt == nil {
		return ""
	}
	return strings.TrimSuffix(when(*d.DoneAt)+" by "+d.DoneBy, " by ")
}

func (d *Duty) line() string {
	text := fmt.Sprintf("%s of %s: %s, %s", d.Name, d.Agency, d.What, d.When)
	if d.State == "" {
		return text
	}
	text += "; " + d.stands()
	if d.State != string(v1alpha1.DutyDone) && !strings.HasPrefix(d.When, "by ") {
		text += ", by " + when(*d.Due)
	}
	if at := d.attested(); at != "" {
		text += "; attested " + at
	}
	return text
}

// DutiesText is the duties as people read them in a terminal.
func DutiesText(duties []Duty) string {
	if len(duties) == 0 {
		return "The terms have no duties.\n"
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(w, "DUTY\tAGENCY\tSTATE\tDUE\tATTESTED\tWHAT")
	overdue := 0
	for _, d := range duties {
		due, attested := d.When, d.attested()
		if d.Due != nil {
			due = when(*d.Due)
		}
		if attested == "" {
			attested = "-"
		}
		if d.State == string(v1alpha1.DutyOverdue) {
			overdue++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", d.Name, d.Agency, d.stands(), due, attested, d.What)
	}
	_ = w.Flush() // a strings.Builder does not fail
	noun := "duties"
	if len(duties) == 1 {
		noun = "duty"
	}
	fmt.Fprintf(&out, "\n%d %s, %d overdue.\n", len(duties), noun, overdue)
	return out.String()
}

// duties compares what the parties owe, by name.
func (c *comparison) duties(before, after []v1alpha1.Duty) {
	old, now := map[string]v1alpha1.Duty{}, map[string]v1alpha1.Duty{}
	var names []string
	for _, d := range before {
		old[d.Name] = d
		names = append(names, d.Name)
	}
	for _, d := range after {
		now[d.Name] = d
		names = append(names, d.Name)
	}
	for _, name := range sorted(names) {
		term := "duties[" + plain(name) + "]"
		o, was := old[name]
		n, is := now[name]
		switch {
		case !was:
			c.add(Narrows, term, "", "", "a duty is added: %s", owes(&n))
		case !is:
			c.add(Widens, term, "", "", "a duty is dropped: %s", owes(&o))
		default:
			c.duty(term, &o, &n)
		}
	}
}

func (c *comparison) duty(term string, o, n *v1alpha1.Duty) {
	if o.Agency != n.Agency {
		c.add(Changes, term+".agency", plain(o.Agency), plain(n.Agency), "owed by %s instead of %s", plain(n.Agency), plain(o.Agency))
	}
	c.text(term+".what", "what is owed", o.What, n.What)
	c.text(term+".term", "the term that the duty dates", o.Term, n.Term)
	switch {
	case o.DueBy != nil && n.DueBy != nil:
		c.clock(term+".dueBy", "due", *o.DueBy, *n.DueBy, Widens)
		c.most(term+".everyDays", "days between two times", o.EveryDays, n.EveryDays)
	case o.DueBy == nil && n.DueBy == nil:
		c.most(term+".everyDays", "days between two times", o.EveryDays, n.EveryDays)
	default:
		c.add(Changes, term, owed(o), owed(n), "owed %s instead of %s", owed(n), owed(o))
	}
}

func owes(d *v1alpha1.Duty) string {
	return fmt.Sprintf("%s owes, %s: %s", plain(d.Agency), owed(d), plain(d.What))
}

func owed(d *v1alpha1.Duty) string {
	k := compile.Duty{Every: time.Duration(d.EveryDays) * 24 * time.Hour}
	if d.DueBy != nil {
		k.DueBy = d.DueBy.UTC()
	}
	return dutyWhen(&k)
}

// OpenDuty is a duty of the local agency that is not done.
type OpenDuty struct {
	Agreement string `json:"agreement"`
	Duty
}

// Stands says where it stands.
func (o *OpenDuty) Stands() string { return o.stands() }

// DueText is when it is due.
func (o *OpenDuty) DueText() string { return when(*o.Due) }

// OpenDuties lists what the local agency owes under all of its agreements and has not done, the most urgent first.
func OpenDuties(index *compile.Index) []OpenDuty {
	out := []OpenDuty{}
	for _, versions := range index.Agreements {
		for _, a := range versions {
			duties, err := Duties(a)
			if err != nil {
				continue // terms without a digest are nobody's: nothing is owed
			}
			for _, d := range duties {
				if d.Agency == index.Self && d.Due != nil && d.State != string(v1alpha1.DutyDone) {
					out = append(out, OpenDuty{plain(a.Name), d})
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b OpenDuty) int {
		return cmp.Or(a.Due.Compare(*b.Due), strings.Compare(a.Agreement, b.Agreement), strings.Compare(a.Name, b.Name))
	})
	return out
}
