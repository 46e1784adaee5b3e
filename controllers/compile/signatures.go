package compile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/signature"
)

// signatures are what the parties' signatures on a version come to.
type signatures struct {
	// verified parties, sorted; missing ones, in the order of the terms.
	verified, missing []string
	// ours: our own signature is among verified. published: it is where the operator puts it, in status.
	ours, published bool
	// at is when each verified party accepted, by its own clock.
	at map[string]time.Time
	// problems are the signatures that do not verify: whose and why.
	problems []string
}

// verify checks the union of the signatures that came by file, those that came by the exchange, and our own.
func (c *compiler) verify(v *version) {
	if v.digest == "" {
		return
	}
	s := &v.signatures
	s.at = map[string]time.Time{}
	kept := slices.Concat(v.object.Status.Signatures, acceptances(v.object.Status.Received))
	for _, name := range partyNames(v.terms) {
		ok, problem := c.verified(v, name, v.object.Spec.Signatures)
		inStatus, problemInStatus := c.verified(v, name, kept)
		switch {
		case ok || inStatus:
			s.verified = append(s.verified, name)
		case problem == "" && problemInStatus == "":
			s.missing = append(s.missing, name)
		default:
			s.missing = append(s.missing, name)
			s.problems = append(s.problems, problem+problemInStatus)
		}
		if name == c.index.Self {
			s.ours, s.published = ok || inStatus, inStatus
		}
	}
	slices.Sort(s.verified)
	for _, sig := range slices.Concat(v.object.Spec.Signatures, kept) {
		if party(v.terms, sig.Agency) == nil {
			s.problems = append(s.problems, fmt.Sprintf("agency %q signed, which is not a party: remove its signature; ", sig.Agency))
		}
	}
}

const replaceIt = "replace it by what `entente agreement signature export` prints there"

// verified says whether one of the signatures is the agency's on this version, and what is wrong with those that are not.
func (c *compiler) verified(v *version, agency string, among []v1alpha1.AgreementSignature) (ok bool, problem string) {
	for _, s := range among {
		if s.Agency != agency {
			continue
		}
		claims, err := signature.Verify(s.JWS, agency, c.keysOf(c.index.Agencies[agency]))
		switch {
		case err == nil && claims.Digest == v.digest:
			if claims.DecidedAt.After(v.signatures.at[agency]) {
				v.signatures.at[agency] = claims.DecidedAt
			}
			ok = true
		case err == nil:
			problem += fmt.Sprintf("the signature of %s is over other terms (%s): %s; ", agency, claims.Digest, replaceIt)
		case c.index.Agencies[agency] == nil:
			problem += fmt.Sprintf("the signature of %s cannot be verified: there is no such Agency; ", agency)
		case errors.Is(err, signature.ErrUnknownKey):
			problem += fmt.Sprintf("the signature of %s is not with a key of its Agency (%v): apply what it prints with `entente agency export`; ", agency, err)
		default:
			problem += fmt.Sprintf("the signature of %s is not good (%v): %s; ", agency, err, replaceIt)
		}
	}
	if ok {
		return true, ""
	}
	return false, problem
}

// acceptances are the statements that are signatures, as such.
func acceptances(statements []v1alpha1.AgreementStatement) []v1alpha1.AgreementSignature {
	var out []v1alpha1.AgreementSignature
	for _, s := range statements {
		if s.Decision == v1alpha1.DecisionAccept {
			out = append(out, v1alpha1.AgreementSignature{Agency: s.Agency, JWS: s.JWS})
		}
	}
	return out
}

// signedByAll says whether every party signed exactly these terms.
func (v *version) signedByAll() bool {
	return v.digest != "" && len(v.signatures.verified) == len(v.terms.Parties)
}

// signing is what stands between an acceptable version and every party's signature, in the order of what is done next.
var signing = []check{
	notRejected,
	weDecided,
	signaturesVerify,
	weSigned,
	peersSigned,
}

// signed is the verdict on the signatures.
func (c *compiler) signed(v *version) verdict {
	all := verdict{true, v1alpha1.ReasonSigned, fmt.Sprintf("all %d parties signed %s", len(v.terms.Parties), v.digest)}
	switch {
	case !v.accepted.ok:
		return c.first(v, []check{acceptable}, "", "")
	case v.signedByAll():
		return all
	}
	return c.first(v, signing, all.reason, all.message)
}

func weDecided(c *compiler, v *version) (reason, message string, failed bool) {
	if v.decided.accepted || v.signatures.ours {
		return "", "", false
	}
	if v.decided.record {
		return v1alpha1.ReasonAwaitingSignature, fmt.Sprintf("accepted in advance with version %d: recorded in status.decisions, which is looked at once more before anything is signed", v.terms.Supersedes), true
	}
	return v1alpha1.ReasonAwaitingDecision, fmt.Sprintf("agency %s waits for %s: create an AgreementDecision on digest %s of agreement %s%s%s%s",
		c.index.Self, v.decided.waiting, v.digest, v.name, v.decided.notInAdvance, v.decided.ignored, suffix(v.signatures.problems)), true
}

func signaturesVerify(_ *compiler, v *version) (reason, message string, failed bool) {
	if len(v.signatures.problems) == 0 {
		return "", "", false
	}
	return v1alpha1.ReasonInvalidSignature, problems(v.signatures.problems), true
}

func weSigned(c *compiler, v *version) (reason, message string, failed bool) {
	if v.signatures.ours {
		return "", "", false
	}
	message = "this operator signs next"
	if !v.resolved.ok {
		message = "this operator signs once condition ResolvedRefs is true"
	}
	return v1alpha1.ReasonAwaitingSignature, fmt.Sprintf("agency %s accepted; %s%s", c.index.Self, message, v.decided.ignored), true
}

func peersSigned(_ *compiler, v *version) (reason, message string, failed bool) {
	if len(v.signatures.missing) == 0 {
		return "", "", false
	}
	return v1alpha1.ReasonAwaitingSignature, fmt.Sprintf("%s did not sign %s yet: the exchange brings each signature once it is made; where there is none, `entente agreement signature export` there and `entente agreement signature import` here%s",
		strings.Join(v.signatures.missing, ", "), v.digest, v.decided.ignored), true
}

func problems(p []string) string { return strings.TrimSuffix(list(p, ""), "; ") }

func suffix(p []string) string {
	if len(p) == 0 {
		return ""
	}
	return "; " + problems(p)
}
