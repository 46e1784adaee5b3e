package words

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// Visible is something that one agency may learn of another's records, over all clauses of an agreement.
type Visible struct {
	Recipient string `json:"recipient"`
	Source    string `json:"source"`
	// Schema by name. Dataset is set when only that dataset of the source is meant.
	Schema  string `json:"schema"`
	Dataset string `json:"dataset,omitempty"`
	// Besides are datasets for which nothing changes, when otherwise every dataset of the source is meant.
	Besides []string `json:"besides,omitempty"`
	// Granularity is the highest rung that is gained or lost; Fields are those of Records.
	Granularity v1alpha1.Granularity `json:"granularity"`
	Fields      []string             `json:"fields,omitempty"`
	// Entirely: with it goes everything that the recipient could learn for these purposes.
	Entirely bool     `json:"entirely,omitempty"`
	Purposes []string `json:"purposes"`
	Text     string   `json:"text"`
}

// subject is whose records are seen by whom.
type subject struct{ recipient, source, schema, dataset string }

// cell is one thing that may be learnt for one purpose: a field, or the name of a rung below Records.
type cell struct {
	subject
	purpose, item string
}

// Rungs below Records as items of a cell; no field has an upper-case letter.
const (
	existence = string(v1alpha1.GranularityExistence)
	counting  = string(v1alpha1.GranularityCount)
)

// cells are everything that may be learnt under an agreement. A rung includes those below it.
func cells(t *v1alpha1.AgreementTerms, forces TaskForces) map[cell]bool {
	out := map[cell]bool{}
	for i := range t.Clauses {
		c := &t.Clauses[i]
		items := []string{existence}
		if ladder[c.Granularity] >= ladder[v1alpha1.GranularityCount] {
			items = append(items, counting)
		}
		items = append(items, disclosed(c)...)
		for _, recipient := range forces.recipients(c) {
			for _, purpose := range c.Purposes {
				for _, item := range items {
					out[cell{subject{recipient, c.Source, c.Schema.Name, c.Dataset}, purpose, item}] = true
				}
			}
		}
	}
	return out
}

// covers: what every dataset of a source shows, each of them shows.
func covers(in map[cell]bool, c cell) bool {
	every := c
	every.dataset = ""
	return in[c] || in[every]
}

// single lists the datasets that show by themselves what c is about in every dataset.
func single(in map[cell]bool, c cell) []string {
	if c.dataset != "" {
		return nil
	}
	var out []string
	for other := range in {
		if o := other; o.dataset != "" {
			if o.dataset = ""; o == c {
				out = append(out, other.dataset)
			}
		}
	}
	slices.Sort(out)
	return out
}

func gains(x, y *v1alpha1.AgreementTerms, forces TaskForces) []Visible {
	return visible(cells(x, forces), cells(y, forces), becomes)
}

func losses(x, y *v1alpha1.AgreementTerms, forces TaskForces) []Visible {
	return visible(cells(y, forces), cells(x, forces), ceases)
}

// visible groups the cells of have that base does not cover.
func visible(base, have map[cell]bool, text func(*Visible) string) []Visible {
	type bySubject struct {
		subject
		purpose, besides string
	}
	items := map[bySubject][]string{}
	for c := range have {
		if !covers(base, c) {
			k := bySubject{c.subject, c.purpose, strings.Join(single(base, c), "\x00")}
			items[k] = append(items[k], c.item)
		}
	}
	groups := map[string]*Visible{}
	for k, list := range items {
		slices.Sort(list)
		id := strings.Join(append([]string{k.recipient, k.source, k.schema, k.dataset, k.besides, "\x01"}, list...), "\x00")
		if groups[id] == nil {
			groups[id] = newVisible(k.subject, list)
			if k.besides != "" {
				groups[id].Besides = plainAll(strings.Split(k.besides, "\x00"))
			}
		}
		groups[id].Purposes = append(groups[id].Purposes, plain(k.purpose))
	}
	var out []Visible
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		v := groups[id]
		slices.Sort(v.Purposes)
		v.Text = text(v)
		out = append(out, *v)
	}
	return out
}

func newVisible(s subject, items []string) *Visible {
	v := &Visible{
		Recipient: plain(s.recipient), Source: plain(s.source), Schema: plain(s.schema), Dataset: plain(s.dataset),
		Granularity: v1alpha1.GranularityExistence, Entirely: slices.Contains(items, existence),
	}
	for _, item := range items {
		switch item {
		case existence:
		case counting:
			if v.Granularity == v1alpha1.GranularityExistence {
				v.Granularity = v1alpha1.GranularityCount
			}
		default:
			v.Granularity = v1alpha1.GranularityRecords
			v.Fields = append(v.Fields, plain(item))
		}
	}
	return v
}

func (v *Visible) records() string {
	s := fmt.Sprintf("%s's %s records", v.Source, v.Schema)
	switch {
	case v.Dataset != "":
		s += " in dataset " + v.Dataset
	case len(v.Besides) > 0:
		s += " in any dataset but " + and(v.Besides)
	}
	return s
}

func becomes(v *Visible) string {
	return fmt.Sprintf("%s may %s, for %s", v.Recipient, v.learn(), and(v.Purposes))
}

func ceases(v *Visible) string {
	text := fmt.Sprintf("%s may no longer %s, for %s", v.Recipient, v.learn(), and(v.Purposes))
	if v.Entirely && v.Granularity != v1alpha1.GranularityExistence {
		text += "; nor learn whether there is a record"
	}
	return text
}

func (v *Visible) learn() string {
	switch v.Granularity {
	case v1alpha1.GranularityRecords:
		return "see " + and(v.Fields) + " of " + v.records()
	case v1alpha1.GranularityCount:
		return "learn how many of " + v.records() + " match a query"
	}
	return "learn whether any of " + v.records() + " match a query"
}
