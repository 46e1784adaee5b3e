package compile

import "github.com/entente-dev/entente/api/v1alpha1"

// Promise is a term that promises something, and what keeps it.
type Promise struct {
	// Term is its path, for example clauses[wages].fields.
	Term string
	// Controls that keep it, the strongest first; none: this release cannot keep it.
	Controls []v1alpha1.Control
	// Instead is what to do about a term that this release cannot keep.
	Instead string
}

// Promises lists every promise of the terms, in their order: what status.coverage says, and what keeps the terms from being
// accepted. An index without datasets knows of no database that keeps a term.
func Promises(index *Index, t *v1alpha1.AgreementTerms) []Promise {
	controls := map[string][]v1alpha1.Control{}
	for _, c := range newCompiler(index, endOfTime).cover(&version{terms: t}) {
		controls[c.Term] = c.Controls
	}
	var out []Promise
	eachTerm(t, func(row, path string, _ *v1alpha1.Clause) {
		k, known := terms[row]
		switch {
		case len(controls[path]) > 0:
			out = append(out, Promise{Term: path, Controls: controls[path]})
		case !known:
			out = append(out, Promise{Term: path, Instead: "this release has no control that keeps it: remove it"})
		case k.instead != "":
			out = append(out, Promise{Term: path, Instead: k.instead})
		}
	})
	return out
}
