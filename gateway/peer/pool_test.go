package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/identity"
	"github.com/entente-dev/entente/gateway/route"
)

var self = route.Party{Agency: "state-police", TrustDomain: "police.example"}

// fakeIssuer signs what it is asked for, or fails.
type fakeIssuer struct {
	key   *ecdsa.PrivateKey
	root  *x509.Certificate
	life  time.Duration
	id    string // instead of the right one
	delay time.Duration
	err   error
	calls atomic.Int64
}

func newFakeIssuer(t *testing.T) *fakeIssuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	root, _ := x509.ParseCertificate(der)
	return &fakeIssuer{key: key, root: root, life: time.Hour}
}

func (f *fakeIssuer) peer() route.Peer {
	return route.Peer{Party: route.Party{Agency: "border-service", TrustDomain: "border.example"}, Gateway: "127.0.0.1:1", Exchange: "127.0.0.1:1",
		TrustBundle: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.root.Raw}))}
}

func (f *fakeIssuer) IssueCertificate(ctx context.Context, source route.Peer, agreement string, request []byte) ([][]byte, error) {
	f.calls.Add(1)
	time.Sleep(f.delay)
	if f.err != nil {
		return nil, f.err
	}
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, err
	}
	id := f.id
	if id == "" {
		id = identity.AgreementID(source.TrustDomain, agreement, self.Agency)
	}
	u, _ := url.Parse(id)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(f.calls.Load() + 1), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(f.life), URIs: []*url.URL{u}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, f.root, csr.PublicKey, f.key)
	return [][]byte{der}, err
}

func (p *Pool) use(agreement string, source route.Peer) error {
	l, err := p.acquire(context.Background(), source, agreement)
	if err == nil {
		p.release(l)
	}
	return err
}

func TestOneIssueForManyCallers(t *testing.T) {
	f := newFakeIssuer(t)
	f.delay = 50 * time.Millisecond
	p := NewPool(self, f, nil)
	defer p.Close()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := p.use("agr", f.peer()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := f.calls.Load(); n != 1 {
		t.Errorf("%d issues", n)
	}
	if err := p.use("other", f.peer()); err != nil || f.calls.Load() != 2 {
		t.Errorf("another agreement: %v, %d issues", err, f.calls.Load())
	}
}

func TestFailedIssueIsNotRepeatedAtOnce(t *testing.T) {
	f := newFakeIssuer(t)
	f.err = errors.New("no")
	p := NewPool(self, f, nil)
	defer p.Close()
	for range 20 {
		if err := p.use("agr", f.peer()); !errors.Is(err, ErrCredential) {
			t.Fatal(err)
		}
	}
	if n := f.calls.Load(); n > 2 {
		t.Errorf("%d issues", n)
	}
}

func TestWrongCertificates(t *testing.T) {
	for name, id := range map[string]string{
		"another agreement": "spiffe://border.example/agreement/other/recipient/state-police",
		"another recipient": "spiffe://border.example/agreement/agr/recipient/coast-guard",
		"a gateway":         "spiffe://border.example/gateway",
		"another domain":    "spiffe://elsewhere.example/agreement/agr/recipient/state-police",
	} {
		f := newFakeIssuer(t)
		f.id = id
		p := NewPool(self, f, nil)
		if err := p.use("agr", f.peer()); !errors.Is(err, ErrCredential) {
			t.Errorf("%s: %v", name, err)
		}
		p.Close()
	}
	f := newFakeIssuer(t)
	f.life = -time.Second
	if _, err := issue(context.Background(), f, self, f.peer(), "agr", time.Now()); err == nil {
		t.Error("a certificate that is over already was taken")
	}
}

// TestRenewal: after two thirds of its life a credential is renewed behind the callers' backs, and a new line opens.
func TestRenewal(t *testing.T) {
	f := newFakeIssuer(t)
	p := NewPool(self, f, nil)
	defer p.Close()
	held, err := p.acquire(context.Background(), f.peer(), "agr")
	if err != nil {
		t.Fatal(err)
	}
	l := p.links[key{"border.example", "agr"}]
	p.mu.Lock()
	l.credential.notBefore = time.Now().Add(-2 * time.Hour) // two thirds of three hours
	p.mu.Unlock()
	if err := p.use("agr", f.peer()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for f.calls.Load() < 2 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	for {
		next, err := p.acquire(context.Background(), f.peer(), "agr")
		if err != nil {
			t.Fatal(err)
		}
		p.release(next)
		if next != held {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the old line stays in use")
		}
	}
	p.mu.Lock()
	if !held.retired || held.users != 1 {
		t.Errorf("the old line: retired %v, %d users", held.retired, held.users)
	}
	p.mu.Unlock()
	p.release(held)
}

func TestDropAndMove(t *testing.T) {
	f := newFakeIssuer(t)
	p := NewPool(self, f, nil)
	defer p.Close()
	first, err := p.acquire(context.Background(), f.peer(), "agr")
	if err != nil {
		t.Fatal(err)
	}
	p.release(first)
	moved := f.peer()
	moved.Gateway = "127.0.0.1:2"
	second, err := p.acquire(context.Background(), moved, "agr")
	if err != nil || second == first || f.calls.Load() != 1 {
		t.Errorf("moved: %v, same line %v, %d issues", err, second == first, f.calls.Load())
	}
	p.release(second)
	p.Drop("agr")
	if len(p.links) != 0 {
		t.Errorf("%d links after Drop", len(p.links))
	}
	if err := p.use("agr", f.peer()); err != nil || f.calls.Load() != 2 {
		t.Errorf("after Drop: %v, %d issues", err, f.calls.Load())
	}
}

func TestCap(t *testing.T) {
	f := newFakeIssuer(t)
	p := NewPool(self, f, nil)
	defer p.Close()
	for i := range maxLinks {
		p.links[key{"border.example", fmt.Sprint("a", i)}] = &link{used: time.Now().Add(-time.Duration(i) * time.Second)}
	}
	if err := p.use("agr", f.peer()); err != nil {
		t.Fatal(err)
	}
	if len(p.links) != maxLinks || p.links[key{"border.example", fmt.Sprint("a", maxLinks-1)}] != nil {
		t.Errorf("%d links; the one idle longest is still there", len(p.links))
	}
	for _, l := range p.links {
		l.line = &line{users: 1}
	}
	if err := p.use("more", f.peer()); !errors.Is(err, ErrBusy) {
		t.Errorf("%v", err)
	}
	for _, l := range p.links {
		l.line = nil
	}
}
