package compile

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// endpointForm is that of AgencyEndpoints.
var endpointForm = regexp.MustCompile(`^[^\s:/]+:[0-9]{1,5}$`)

// CheckPeer says why an Agency that came from elsewhere cannot become, or replace, a peer of this installation; nil: it can.
func CheckPeer(index *Index, a *v1alpha1.Agency) error {
	if a.Name == index.Self {
		return fmt.Errorf("agency %s is this agency itself: import what the other agency prints", a.Name)
	}
	if known := index.Agencies[a.Name]; known != nil && known.Spec.TrustDomain != a.Spec.TrustDomain {
		return fmt.Errorf("the name %s is that of the agency with the trust domain %s here, and the trust domain of an agency never changes: ask the other agency for another name, or delete the Agency that is here",
			a.Name, known.Spec.TrustDomain)
	}
	if v := agencyAccepted(index, a); !v.ok {
		return errors.New(v.message)
	}
	var f faults
	if n := len(a.Spec.DisplayName); n == 0 || n > 200 {
		f.add("spec.displayName", "has %d bytes; an agency has a name of 1 to 200", n)
	}
	for _, e := range [][2]string{{"gateway", a.Spec.Endpoints.Gateway}, {"exchange", a.Spec.Endpoints.Exchange}} {
		if e[1] != "" && !endpointForm.MatchString(e[1]) {
			f.add("spec.endpoints."+e[0], "%q is not host:port", e[1])
		}
	}
	if len(f) > 0 {
		return errors.New(f.String() + ": ask the other agency for a file that is right")
	}
	return nil
}
