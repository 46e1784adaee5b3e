package words

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// Kind says in which direction a term moves.
type Kind string

// Kinds of a change. Widens: more may be seen, asked or kept, or a duty loosens. Narrows: the opposite. Changes: neither,
// or what software cannot compare.
const (
	Widens  Kind = "Widens"
	Narrows Kind = "Narrows"
	Changes Kind = "Changes"
)

// Change of one term. Its kind is that of the term alone: what one clause no longer permits another may; what becomes and
// ceases to be visible is said of the agreement as a whole.
type Change struct {
	Kind Kind `json:"kind"`
	// Term is its path, for example clauses[wages].fields.
	Term string `json:"term"`
	// Text says it in words.
	Text   string `json:"text"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Ref names one side of a comparison.
type Ref struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// Diff is what changes between two agreements, in a stable order.
type Diff struct {
	From Ref `json:"from"`
	To   Ref `json:"to"`
	// Becomes and Ceases are what becomes and ceases to be visible, over all clauses.
	Becomes []Visible `json:"becomesVisible"`
	Ceases  []Visible `json:"ceasesToBeVisible"`
	Changes []Change  `json:"changes"`
	// Notes are about what makes no difference to what is agreed.
	Notes []string `json:"notes,omitempty"`
}

// Same says whether the two agree on the same. The order of lists, and the numbers of the versions, make no difference.
func (d *Diff) Same() bool { return len(d.Changes) == 0 }

// Compare says what changes from one agreement, or version of it, to another.
func Compare(from, to *v1alpha1.SharingAgreement, forces TaskForces) (*Diff, error) {
	d := &Diff{Becomes: []Visible{}, Ceases: []Visible{}, Changes: []Change{}}
	for side, a := range map[*Ref]*v1alpha1.SharingAgreement{&d.From: from, &d.To: to} {
		digest, err := a.Spec.Terms.Digest()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.Name, err)
		}
		*side = Ref{Name: plain(a.Name), Digest: digest}
	}
	x, y := &from.Spec.Terms, &to.Spec.Terms
	c := &comparison{amends: x.ID == y.ID && x.Version != y.Version, forces: forces}
	c.terms(x, y)
	d.Changes = append(d.Changes, c.changes...)
	d.Becomes = append(d.Becomes, gains(x, y, forces)...)
	d.Ceases = append(d.Ceases, losses(x, y, forces)...)
	d.Notes = append(d.Notes, sorted(slices.Concat(forces.unknown(x), forces.unknown(y)))...)
	if d.Same() {
		note, err := spelling(x, y)
		if err != nil {
			return nil, err
		}
		d.Notes = append(d.Notes, note...)
	}
	return d, nil
}

// spelling tells of terms that mean the same and have different digests all the same.
func spelling(x, y *v1alpha1.AgreementTerms) ([]string, error) {
	renumbered := y.DeepCopy()
	renumbered.Version, renumbered.Supersedes = x.Version, x.Supersedes
	before, err := x.Digest()
	if err != nil {
		return nil, err
	}
	after, err := renumbered.Digest()
	if err != nil || before == after {
		return nil, err
	}
	return []string{"they are written otherwise (lists in another order, or an empty member): the meaning is the same and the digest is not, so each needs signatures of its own; where two clauses permit a query, the first is the one that is logged"}, nil
}

// comparison collects changes, in the order of the terms.
type comparison struct {
	// amends: the two are versions of one agreement, so that their numbers differ as a matter of course.
	amends bool
	// forces are the task forces that are known.
	forces  TaskForces
	changes []Change
}

func (c *comparison) add(kind Kind, term, before, after, format string, args ...any) {
	c.changes = append(c.changes, Change{Kind: kind, Term: term, Text: fmt.Sprintf(format, args...), Before: before, After: after})
}

// text compares what people wrote and software cannot weigh.
func (c *comparison) text(term, noun, before, after string) {
	before, after = plain(before), plain(after)
	switch {
	case before == after:
	case before == "":
		c.add(Changes, term, before, after, "%s is added", noun)
	case after == "":
		c.add(Changes, term, before, after, "%s is removed", noun)
	default:
		c.add(Changes, term, before, after, "%s is worded otherwise", noun)
	}
}

// promise compares what a party promises in prose: to promise is narrower than not to promise.
func (c *comparison) promise(term, noun, before, after string) {
	before, after = plain(before), plain(after)
	switch {
	case before == after:
	case before == "":
		c.add(Narrows, term, before, after, "%s is promised", noun)
	case after == "":
		c.add(Widens, term, before, after, "%s is no longer promised", noun)
	default:
		c.add(Changes, term, before, after, "%s is worded otherwise: read both", noun)
	}
}

// restriction compares an expression that narrows and that software cannot weigh against another.
func (c *comparison) restriction(term, noun, before, after string) {
	before, after = plain(before), plain(after)
	switch {
	case before == after:
	case before == "":
		c.add(Narrows, term, before, after, "%s is added: %s", noun, after)
	case after == "":
		c.add(Widens, term, before, after, "%s is dropped: %s", noun, before)
	default:
		c.add(Changes, term, before, after, "%s changes from %s to %s: software cannot say which of them permits more", noun, before, after)
	}
}

// members compares two sets. more is the kind of an addition.
func (c *comparison) members(term string, before, after []string, more Kind, added, removed string) {
	less := map[Kind]Kind{Widens: Narrows, Narrows: Widens, Changes: Changes}[more]
	if items := without(after, before); len(items) > 0 {
		c.add(more, term, "", "", added, and(plainAll(items)))
	}
	if items := without(before, after); len(items) > 0 {
		c.add(less, term, "", "", removed, and(plainAll(items)))
	}
}

// allowList compares two sets of which an empty one lets anything pass.
func (c *comparison) allowList(term, noun string, before, after []string) {
	before, after = sorted(before), sorted(after)
	switch {
	case slices.Equal(before, after):
	case len(before) == 0:
		c.add(Narrows, term, "", and(plainAll(after)), "%s must be %s; any would do before", noun, or(plainAll(after)))
	case len(after) == 0:
		c.add(Widens, term, and(plainAll(before)), "", "%s may be any; only %s would do before", noun, or(plainAll(before)))
	default:
		c.members(term, before, after, Widens, noun+" may be %s, too", noun+" may no longer be %s")
	}
}

// most compares two upper bounds; 0 is none.
func (c *comparison) most(term, what string, before, after int64) {
	c.bound(term, what, before, after, func() bool { return before == 0 || (after != 0 && after < before) })
}

// least compares two lower bounds; 0 is none.
func (c *comparison) least(term, what string, before, after int64) {
	c.bound(term, what, before, after, func() bool { return after > before })
}

func (c *comparison) bound(term, what string, before, after int64, narrower func() bool) {
	if before == after {
		return
	}
	kind := Widens
	if narrower() {
		kind = Narrows
	}
	switch {
	case before == 0:
		c.add(kind, term, "", number(after), "%s: %s; no bound before", what, number(after))
	case after == 0:
		c.add(kind, term, number(before), "", "%s: no bound; %s before", what, number(before))
	default:
		c.add(kind, term, number(before), number(after), "%s: %s instead of %s", what, number(after), number(before))
	}
}

func orNone(s string) string { return cmp.Or(s, "none") }
