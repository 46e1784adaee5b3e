package transparency

import (
	"errors"
	"fmt"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// Cosigners are the names of the witnesses, of those whose keys are given, that cosigned a checkpoint of the log with a key.
func Cosigners(c Checkpoint, logKey string, witnesses []string) ([]string, error) {
	log, err := note.NewVerifier(logKey)
	if err != nil {
		return nil, errors.New("the log's key is not a verifier key")
	}
	verifiers := []note.Verifier{log}
	for _, key := range witnesses {
		v, err := fnote.NewVerifierForCosignatureV1(key)
		if err != nil {
			return nil, fmt.Errorf("%q is not the verifier key of a witness", key)
		}
		verifiers = append(verifiers, v)
	}
	n, err := note.Open(c.Raw, note.VerifierList(verifiers...))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range n.Sigs {
		if s.Hash != log.KeyHash() || s.Name != log.Name() {
			names = append(names, s.Name)
		}
	}
	return names, nil
}
