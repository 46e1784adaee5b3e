package profile

import (
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/entente-dev/entente/api/v1alpha1"
)

var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// checkSpec lists what is wrong with the profile besides its expressions. The API server checks most of it already; files
// never met it.
func checkSpec(spec *v1alpha1.AgreementProfileSpec, fault func(path, format string, args ...any)) {
	text := func(path, s string, least, most int) {
		if n := utf8.RuneCountInString(s); n < least || n > most {
			fault(path, "%d characters; %d to %d are possible", n, least, most)
		}
	}
	text("title", spec.Title, 1, 200)
	text("citation", spec.Citation, 1, 300)
	text("description", spec.Description, 0, 4000)
	if n := len(spec.Rules); n < 1 || n > maxRules {
		fault("rules", "%d rules; 1 to %d are possible", n, maxRules)
	}
	seen := map[string]bool{}
	for i := range spec.Rules {
		r := &spec.Rules[i]
		path := "rules[" + r.Name + "]"
		if len(r.Name) > 63 || !nameForm.MatchString(r.Name) {
			path = fmt.Sprintf("rules[%d]", i)
			fault(path+".name", "%q is not lower-case letters, digits and hyphens", r.Name)
		}
		if seen[r.Name] {
			fault(path+".name", "%q stands twice", r.Name)
		}
		seen[r.Name] = true
		if r.Severity != v1alpha1.SeverityError && r.Severity != v1alpha1.SeverityWarning {
			fault(path+".severity", "%q is not Error or Warning", r.Severity)
		}
		text(path+".message", r.Message, 1, 1000)
		text(path+".citation", r.Citation, 1, 300)
		if r.Field == "" || !hasPath(r.Field) {
			fault(path+".field", "the terms have no member %q", r.Field)
		}
	}
}
