package disclosure

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/source"
)

// ReasonConsentService: the clause rests on a consent service, and that cannot be asked or understood.
const ReasonConsentService = "ConsentService"

const messageConsentService = "the clause rests on consents, and the source's consent service cannot be asked: its operators must mend it"

// consents gathers what consent services answered in one disclosure, for the log. It may be told from several goroutines.
type consents struct {
	mu   sync.Mutex
	told audit.ConsentCheck
	sum  []byte // of the answers so far
}

func (c *consents) add(a source.ConsentAnswer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told.Service = a.Service
	c.told.Asked += int64(a.Asked)
	c.told.Given += int64(a.Given)
	if a.Body == nil {
		return
	}
	c.told.Ref = a.Ref
	// Each answer with its length, after the sum of those before.
	h := sha256.New()
	h.Write(c.sum)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(a.Body))))
	h.Write(a.Body)
	c.sum = h.Sum(nil)
	c.told.Digest = "sha256:" + base64.RawURLEncoding.EncodeToString(c.sum)
}

func (c *consents) logged() audit.ConsentCheck {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told
}
