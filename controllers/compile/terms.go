package compile

import (
	"errors"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// CheckTerms says what is wrong with terms by themselves, as the condition Accepted would: for terms that are not yet a resource.
// name is the object's name, <id>.v<version>.
func CheckTerms(name string, t *v1alpha1.AgreementTerms) error {
	if faults := checkTerms(name, t); len(faults) > 0 {
		return errors.New(faults.String())
	}
	if unkept := unenforceable(t); len(unkept) > 0 {
		return errors.New(list(unkept, "; "))
	}
	return nil
}
