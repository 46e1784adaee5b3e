package vault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
)

// Session is one login at Vault, shared by everything in the process that acts in the same role. A login makes a token,
// and a token holds leases, so there is one login at a time and one token for all; it is renewed while Vault lets it be, and
// replaced before its end. All methods are safe for concurrent use.
//
// A session logs in at its first request. While Run runs it is also renewed; without Run it logs in again when the token is
// found to have ended.
type Session struct {
	cfg      Config
	client   *api.Client // carries the current token
	log      *slog.Logger
	inFlight chan struct{}

	// loginTurn is held by whoever logs in: a channel, so that those who wait can leave. It guards loginClient, which
	// carries no token but one that is being tried.
	loginTurn   chan struct{}
	loginClient *api.Client

	mu      sync.Mutex
	auth    *login
	changed chan struct{} // closed when auth is replaced
	retryAt time.Time     // no login before this
	failed  int           // logins that failed in a row
	lastErr error
}

// login is one token.
type login struct {
	secret  *api.Secret
	token   string
	at      time.Time
	expires time.Time // zero: never
	static  bool
}

// NewSession prepares a session; it does not speak to Vault yet.
func NewSession(cfg Config) (*Session, error) {
	cl, err := cfg.client()
	if err != nil {
		return nil, err
	}
	if cfg.JWTPath != "" && cfg.Role == "" {
		return nil, errors.New("vault: a service account token file needs a role to log in as")
	}
	lc, err := cfg.client()
	if err != nil {
		return nil, err
	}
	n := cfg.MaxInFlight
	if n <= 0 {
		n = defaultMaxInFlight
	}
	s := &Session{
		cfg:         cfg,
		client:      cl,
		log:         cfg.Log,
		inFlight:    make(chan struct{}, n),
		loginTurn:   make(chan struct{}, 1),
		loginClient: lc,
		changed:     make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	return s, nil
}

// Mounts of the agency that the session is for.
func (s *Session) Mounts() Mounts { return s.cfg.Mounts }

// Address of Vault.
func (s *Session) Address() string { return s.client.Address() }

// Login makes sure that there is a token. Requests do so by themselves; call it to find out early.
func (s *Session) Login(ctx context.Context) error {
	_, err := s.token(ctx)
	return err
}

// Status is what metrics and readiness want to know.
type Status struct {
	// LoggedIn: there is a token that has not ended.
	LoggedIn bool
	// Expires is when the token ends unless it is renewed; zero: never, or not logged in.
	Expires time.Time
	// Err is why the last login or renewal failed; nil when it did not.
	Err error
}

// Status tells how the session is, without asking Vault.
func (s *Session) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{Err: s.lastErr}
	if s.auth != nil && (s.auth.expires.IsZero() || time.Now().Before(s.auth.expires)) {
		st.LoggedIn, st.Expires = true, s.auth.expires
	}
	return st
}

// Healthy is nil while there is a token that has not ended.
func (s *Session) Healthy() error {
	st := s.Status()
	switch {
	case st.LoggedIn:
		return nil
	case st.Err != nil:
		return fmt.Errorf("%w: %w", ErrNotLoggedIn, st.Err)
	default:
		return ErrNotLoggedIn
	}
}

// TimeLeft until the token ends: 0 when there is none, and a very long time for one that never ends.
func (s *Session) TimeLeft() time.Duration {
	st := s.Status()
	switch {
	case !st.LoggedIn:
		return 0
	case st.Expires.IsZero():
		return 1<<63 - 1
	default:
		return time.Until(st.Expires)
	}
}

// token returns the current token, logging in when there is none or it has ended.
func (s *Session) token(ctx context.Context) (string, error) {
	s.mu.Lock()
	stale := ""
	if a := s.auth; a != nil {
		if a.expires.IsZero() || time.Now().Before(a.expires) {
			s.mu.Unlock()
			return a.token, nil
		}
		stale = a.token
	}
	s.mu.Unlock()
	return s.replace(ctx, stale)
}

// replace logs in unless somebody else already replaced the stale token. Only one login runs at a time, and after a failure
// none before a jittered pause: callers in between get the failure at once.
func (s *Session) replace(ctx context.Context, stale string) (string, error) {
	select {
	case s.loginTurn <- struct{}{}:
	case <-ctx.Done():
		return "", fmt.Errorf("%w: %w", ErrNotLoggedIn, context.Cause(ctx))
	}
	s.mu.Lock()
	if s.auth != nil && s.auth.token != stale {
		defer s.mu.Unlock()
		<-s.loginTurn
		return s.auth.token, nil
	}
	if s.lastErr != nil && time.Now().Before(s.retryAt) {
		defer s.mu.Unlock()
		<-s.loginTurn
		return "", fmt.Errorf("%w: %w", ErrNotLoggedIn, s.lastErr)
	}
	s.mu.Unlock()

	// The login outlives a caller that leaves: others wait for it.
	type result struct {
		token string
		err   error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-s.loginTurn }()
		lctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.timeout())
		defer cancel()
		a, err := s.login(lctx)
		token, err := s.settle(a, err, stale)
		done <- result{token, err}
	}()
	select {
	case r := <-done:
		return r.token, r.err
	case <-ctx.Done():
		return "", fmt.Errorf("%w: %w", ErrNotLoggedIn, context.Cause(ctx))
	}
}

// settle takes over the outcome of a login.
func (s *Session) settle(a *login, err error, stale string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && a.static && a.token == stale {
		err = &Error{Op: "login", Path: "token", Kind: ErrDenied, Err: errors.New("the configured token has ended or was revoked")}
	}
	if err != nil {
		s.failed++
		s.lastErr = err
		s.retryAt = time.Now().Add(pause(s.failed))
		s.log.Warn("vault login failed", "address", s.client.Address(), "role", s.cfg.Role, "error", err, "retryIn", time.Until(s.retryAt).Round(time.Millisecond))
		return "", fmt.Errorf("%w: %w", ErrNotLoggedIn, err)
	}
	s.failed, s.lastErr = 0, nil
	s.auth = a
	s.client.SetToken(a.token)
	close(s.changed)
	s.changed = make(chan struct{})
	s.log.Info("logged in to vault", "address", s.client.Address(), "role", s.cfg.Role, "expires", a.expires)
	return a.token, nil
}

// pause before login number failed+1: from 0.2 s doubling to 30 s, of which a random half is taken off, so that the replicas
// of a gateway do not return to a recovering Vault together.
func pause(failed int) time.Duration {
	d := 30 * time.Second
	if failed < 8 {
		d = min(d, 200*time.Millisecond<<(failed-1))
	}
	return d/2 + rand.N(d/2)
}

func (s *Session) login(ctx context.Context) (*login, error) {
	if s.cfg.JWTPath == "" {
		return s.staticLogin(ctx)
	}
	path := "auth/" + s.cfg.Mounts.JWT() + "/login"
	jwt, err := os.ReadFile(s.cfg.JWTPath)
	if err != nil {
		return nil, &Error{Op: "login", Path: path, Kind: ErrNotLoggedIn, Err: fmt.Errorf("service account token: %w", err)}
	}
	at := time.Now()
	secret, err := s.loginClient.Logical().WriteWithContext(ctx, path, map[string]any{"role": s.cfg.Role, "jwt": strings.TrimSpace(string(jwt))})
	if err != nil {
		return nil, wrap("login", path, err)
	}
	if secret == nil || secret.Auth == nil || secret.Auth.ClientToken == "" {
		return nil, &Error{Op: "login", Path: path, Kind: ErrUnavailable, Err: errors.New("the answer has no token")}
	}
	return &login{
		secret:  secret,
		token:   secret.Auth.ClientToken,
		at:      at,
		expires: at.Add(time.Duration(secret.Auth.LeaseDuration) * time.Second),
	}, nil
}

func (s *Session) staticLogin(ctx context.Context) (*login, error) {
	token, err := s.cfg.staticToken()
	if err != nil {
		return nil, &Error{Op: "login", Path: "token", Kind: ErrNotLoggedIn, Err: err}
	}
	at := time.Now()
	s.loginClient.SetToken(token)
	defer s.loginClient.ClearToken()
	self, err := s.loginClient.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return nil, wrap("login", "auth/token/lookup-self", err)
	}
	a := &login{token: token, at: at, static: true}
	ttl, err := self.TokenTTL()
	if err != nil {
		return nil, wrap("login", "auth/token/lookup-self", err)
	}
	if ttl > 0 {
		a.expires = at.Add(ttl)
	}
	renewable, _ := self.TokenIsRenewable()
	a.secret = &api.Secret{Auth: &api.SecretAuth{ClientToken: token, Renewable: renewable, LeaseDuration: int(ttl / time.Second)}}
	return a, nil
}

// Run keeps the session alive until ctx ends, which should be the process's own context. It then revokes a token that it
// logged in for, so that no lease of a stopped process stays behind.
func (s *Session) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if _, err := s.token(ctx); err != nil {
			s.mu.Lock()
			wait := time.Until(s.retryAt)
			s.mu.Unlock()
			sleep(ctx, max(wait, 50*time.Millisecond))
			continue
		}
		s.mu.Lock()
		a, changed := s.auth, s.changed
		s.mu.Unlock()
		s.watch(ctx, a, changed)
	}
	s.end(ctx)
	return nil
}

// watch renews one token until it is replaced, cannot be renewed further, or ctx ends.
func (s *Session) watch(ctx context.Context, a *login, changed <-chan struct{}) {
	if a.expires.IsZero() {
		select {
		case <-ctx.Done():
		case <-changed:
		}
		return
	}
	w, err := s.client.NewLifetimeWatcher(&api.LifetimeWatcherInput{
		Secret:        a.secret,
		Increment:     a.secret.Auth.LeaseDuration,
		RenewBehavior: api.RenewBehaviorIgnoreErrors,
	})
	if err != nil {
		s.log.Error("vault session cannot be watched", "error", err)
		sleep(ctx, time.Second)
		return
	}
	go w.Start()
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			return
		case r := <-w.RenewCh():
			s.renewed(a, r)
		case err := <-w.DoneCh():
			// nil when the token reaches its greatest age: also then it is time for another one.
			if err != nil {
				s.log.Warn("vault token could not be renewed", "error", err)
			}
			if _, err := s.replace(ctx, a.token); err != nil {
				s.waitForRetry(ctx)
			}
			return
		}
	}
}

func (s *Session) waitForRetry(ctx context.Context) {
	s.mu.Lock()
	wait := time.Until(s.retryAt)
	s.mu.Unlock()
	sleep(ctx, wait)
}

func (s *Session) renewed(a *login, r *api.RenewOutput) {
	if r.Secret == nil || r.Secret.Auth == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.auth != a {
		return
	}
	a.expires = r.RenewedAt.Add(time.Duration(r.Secret.Auth.LeaseDuration) * time.Second)
}

// end revokes a token that this session made.
func (s *Session) end(ctx context.Context) {
	s.mu.Lock()
	a := s.auth
	s.auth = nil
	s.mu.Unlock()
	if a == nil || a.static {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	defer s.client.ClearToken()
	if err := s.client.Auth().Token().RevokeSelfWithContext(ctx, ""); err != nil {
		s.log.Warn("vault token was not revoked; it ends by itself", "error", err, "expires", a.expires)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
