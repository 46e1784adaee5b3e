package words

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile"
)

// Promise is a term that promises something, and what keeps it, in words.
type Promise struct {
	Term string `json:"term"`
	// Controls that keep it, the strongest first; none: nothing does, and the terms are not acceptable.
	Controls []v1alpha1.Control `json:"controls"`
	// Kept says how.
	Kept string `json:"kept"`
}

// how each control keeps a promise.
var how = map[v1alpha1.Control]string{
	v1alpha1.ControlGateway:        "the gateways check it on every query",
	v1alpha1.ControlSourceDatabase: "the source's database itself refuses anything else",
	v1alpha1.ControlVault:          "no credential exists for anything else",
	v1alpha1.ControlOperator:       "each party's operator sees to it before it accepts or signs, or says when it is due",
	v1alpha1.ControlAttested:       "a party promises this; software cannot enforce it",
}

// Coverage lists every promise of the terms with what keeps it. Where the agreement's status, as its operator wrote it, is
// about these terms, it knows more: whether the source's own database keeps a promise.
func Coverage(a *v1alpha1.SharingAgreement) ([]Promise, error) {
	digest, err := a.Spec.Terms.Digest()
	if err != nil {
		return nil, err
	}
	observed := map[string][]v1alpha1.Control{}
	if a.Status.Digest == digest {
		for _, c := range a.Status.Coverage {
			observed[c.Term] = c.Controls
		}
	}
	dated := map[string][]string{}
	for _, d := range compile.Duties(&a.Spec.Terms) {
		if name := plain(d.Name); !slices.Contains(dated[d.Term], name) {
			dated[d.Term] = append(dated[d.Term], name)
		}
	}
	var out []Promise
	for _, p := range compile.Promises(&compile.Index{}, &a.Spec.Terms) {
		promise := Promise{Term: plain(p.Term), Controls: p.Controls, Kept: p.Instead}
		if better := observed[p.Term]; len(better) > 0 {
			promise.Controls = better
		}
		if len(promise.Controls) > 0 {
			said := make([]string, len(promise.Controls))
			for i, c := range promise.Controls {
				said[i] = cmp.Or(how[c], plain(string(c)))
			}
			if promise.Kept = strings.Join(said, "; "); len(dated[p.Term]) > 0 {
				promise.Kept += "; a dated duty: " + strings.Join(dated[p.Term], ", ")
			}
		} else {
			promise.Controls = []v1alpha1.Control{}
		}
		out = append(out, promise)
	}
	return out, nil
}

// CoverageText is the coverage as people read it in a terminal.
func CoverageText(promises []Promise) string {
	longest, attested, unkept := 0, 0, 0
	for _, p := range promises {
		longest = max(longest, len(p.Term))
		if slices.Contains(p.Controls, v1alpha1.ControlAttested) {
			attested++
		}
		if len(p.Controls) == 0 {
			unkept++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s  %-23s  %s\n", longest, "TERM", "KEPT BY", "HOW")
	for _, p := range promises {
		names := make([]string, len(p.Controls))
		for i, c := range p.Controls {
			names[i] = plain(string(c))
		}
		fmt.Fprintf(&b, "%-*s  %-23s  %s\n", longest, p.Term, cmp.Or(strings.Join(names, ", "), "NOTHING"), p.Kept)
	}
	fmt.Fprintf(&b, "\n%s: %d by controls, %d attested", count(int64(len(promises)), "promise"), len(promises)-attested-unkept, attested)
	if unkept > 0 {
		fmt.Fprintf(&b, ", %d by nothing: this release does not accept the terms", unkept)
	}
	b.WriteString(".\n")
	return b.String()
}
