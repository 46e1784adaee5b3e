package transparency

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/tessera"
	"golang.org/x/mod/sumdb/note"
)

// Witnesses says who cosigns the checkpoints of a log.
type Witnesses struct {
	// Policy names the witnesses, where they are, and which of them are a quorum (ParsePolicy).
	Policy tessera.WitnessGroup
	// Interval between two requests for cosignatures; 0: DefaultWitnessInterval. At least one second.
	Interval time.Duration
	// Required: a log that had no quorum for so long refuses what begins; 0: it goes on, and says so.
	Required time.Duration
	// Client for requests to witnesses; nil: one that trusts the system's authorities.
	Client *http.Client
}

const (
	// DefaultWitnessInterval is what a witness loses sight of at most, as long as it can be reached.
	DefaultWitnessInterval = 10 * time.Second
	// witnessTimeout bounds one request.
	witnessTimeout = 10 * time.Second
	// refreshInterval is when a checkpoint that has not changed is cosigned again: cosignatures are dated, and a log
	// that rests is to be told from one that hides.
	refreshInterval = 5 * time.Minute
	// maxAnswer bounds a witness's answer.
	maxAnswer = 64 << 10
)

// ParsePolicy reads a policy in the form of C2SP tlog-policy: lines witness NAME VKEY URL, group NAME K MEMBER…, quorum NAME.
func ParsePolicy(b []byte) (tessera.WitnessGroup, error) {
	g, err := tessera.NewWitnessGroupFromPolicy(b)
	if err != nil {
		return g, fmt.Errorf("witness policy: %w", err)
	}
	if g.N < 1 || len(g.Endpoints()) == 0 {
		return g, errors.New("witness policy: the quorum has no witness")
	}
	for address := range g.Endpoints() {
		if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return g, fmt.Errorf("witness policy: %q is no address of a witness", address)
		}
	}
	return g, nil
}

// WitnessStatus is how witnessing stands.
type WitnessStatus struct {
	// Quorum: the last round reached one.
	Quorum bool
	// Cosigned is the size of the latest checkpoint with a quorum, and At when it had it.
	Cosigned uint64
	At       time.Time
	// Missing says of each witness that did not cosign why not.
	Missing []string
	// Conflicts counts answers by which a witness has seen another history of this log.
	Conflicts uint64
}

// Witnessed is how witnessing stands; false: no witnesses are configured.
func (l *Log) Witnessed() (WitnessStatus, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.witnessed, l.o.Witnesses != nil
}

// cosignedFile has the latest checkpoint that a quorum of witnesses cosigned.
func (l *Log) cosignedFile() string { return filepath.Join(l.dir, "cosigned") }

// evidenceFile has a checkpoint of this log that a witness kept and that its chain does not lead to.
func (l *Log) evidenceFile() string { return filepath.Join(l.dir, "evidence") }

// Cosigned is the latest checkpoint that a quorum of witnesses cosigned.
func (l *Log) Cosigned() Checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cosigned
}

// witness asks for cosignatures until the log is closed.
func (l *Log) witness() {
	views := map[string]*witnessView{}
	for address, v := range l.o.Witnesses.Policy.Endpoints() {
		views[address] = &witnessView{log: l, address: address, key: v, size: l.Cosigned().Size}
	}
	tick := time.NewTicker(max(l.o.Witnesses.Interval, time.Second))
	defer tick.Stop()
	soon := time.NewTimer(time.Second)
	defer soon.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-soon.C: // a log that was rolled back finds out at once
		case <-tick.C:
		}
		l.round(views)
	}
}

// round asks every witness for a cosignature of the latest checkpoint.
func (l *Log) round(views map[string]*witnessView) {
	latest := l.Latest()
	status, _ := l.Witnessed()
	if latest.Raw == nil || latest.Size == 0 || status.Quorum && latest.Size == status.Cosigned && time.Since(status.At) < refreshInterval {
		return
	}
	ctx, cancel := context.WithTimeout(l.ctx, witnessTimeout)
	defer cancel()
	stopped := context.AfterFunc(l.ctx, cancel)
	defer stopped()
	type answer struct {
		name, line string
		err        error
	}
	answers := make(chan answer, len(views))
	for _, v := range views {
		go func() {
			line, err := v.ask(ctx, latest)
			answers <- answer{v.key.Name(), line, err}
		}()
	}
	signed := bytes.Clone(latest.Raw)
	next := WitnessStatus{Cosigned: status.Cosigned, At: status.At, Conflicts: status.Conflicts}
	var conflict error
	for range views {
		select {
		case a := <-answers:
			switch {
			case a.err == nil:
				signed = append(signed, a.line...)
				continue
			case errors.Is(a.err, errConflict):
				next.Conflicts++
				conflict = errors.Join(conflict, fmt.Errorf("%s: %w", a.name, a.err))
			}
			next.Missing = append(next.Missing, a.name+": "+a.err.Error())
		case <-l.stop:
			return
		}
	}
	if conflict != nil {
		l.o.Logger.Error("a witness has seen another history of this log", "error", conflict)
	}
	if l.o.Witnesses.Policy.Satisfied(signed) {
		if err := WriteFile(l.cosignedFile(), signed, 0o644); err != nil {
			next.Missing = append(next.Missing, "the cosigned checkpoint cannot be kept: "+err.Error())
		} else {
			next.Quorum, next.Cosigned, next.At = true, latest.Size, time.Now()
			l.mu.Lock()
			l.cosigned = Checkpoint{latest.Size, latest.Root, signed}
			l.mu.Unlock()
		}
	}
	l.mu.Lock()
	l.witnessed = next
	l.mu.Unlock()
	switch {
	case !next.Quorum && (status.Quorum || len(status.Missing) == 0):
		l.o.Logger.Warn("the log has no quorum of witnesses", "missing", strings.Join(next.Missing, "; "))
	case next.Quorum && !status.Quorum:
		l.o.Logger.Info("the log has a quorum of witnesses", "entries", next.Cosigned)
	}
}

// ErrQuorum is wrapped by the reason of a log that refuses because it has been without a quorum of witnesses for too long.
var ErrQuorum = errors.New("the log has had no quorum of witnesses")

// quorumLost says why a log that needs a quorum refuses. l.mu is held.
func (l *Log) quorumLost(now time.Time) error {
	w := l.o.Witnesses
	if w == nil || w.Required == 0 {
		return nil
	}
	since := l.opened
	if l.witnessed.At.After(since) {
		since = l.witnessed.At
	}
	if l.witnessed.Quorum && l.witnessed.Cosigned == l.published.Size || now.Sub(since) < w.Required {
		return nil
	}
	return fmt.Errorf("%w for %s: %s", ErrQuorum, w.Required, strings.Join(l.witnessed.Missing, "; "))
}

// errConflict is wrapped when a witness has seen another history of the log.
var errConflict = errors.New("conflict")

// witnessView is what is known of one witness.
type witnessView struct {
	log     *Log
	address string // of add-checkpoint
	key     note.Verifier
	size    uint64 // of the checkpoint that it last cosigned, as far as is known
}

// ask has a witness cosign a checkpoint, and gives the signature line (C2SP tlog-witness, add-checkpoint).
func (v *witnessView) ask(ctx context.Context, c Checkpoint) (string, error) {
	for tries := 0; ; tries++ {
		if v.size > c.Size {
			return "", v.conflict(ctx, fmt.Sprintf("it has cosigned %d entries, the log has %d", v.size, c.Size))
		}
		hashes, err := Consistency(ctx, fetcher(v.log.treeDir()), v.size, c.Size)
		if err != nil {
			return "", fmt.Errorf("consistency proof: %w", err)
		}
		var body bytes.Buffer
		fmt.Fprintf(&body, "old %d\n", v.size)
		for _, h := range hashes {
			body.WriteString(base64.StdEncoding.EncodeToString(h) + "\n")
		}
		body.WriteString("\n")
		body.Write(c.Raw)
		status, kind, answer, err := v.send(ctx, http.MethodPost, v.address, &body)
		switch {
		case err != nil:
			return "", err
		case status == http.StatusOK:
			line, err := v.signature(c, answer)
			if err == nil {
				v.size = c.Size
			}
			return line, err
		case status == http.StatusConflict && kind == "text/x.tlog.size" && tries < 3:
			size, err := strconv.ParseUint(strings.TrimSpace(string(answer)), 10, 64)
			if err != nil || size == v.size {
				return "", errors.New("409 without another size")
			}
			v.size = size
		case status == http.StatusConflict && kind != "text/x.tlog.size":
			return "", v.conflict(ctx, fmt.Sprintf("it has cosigned another tree of %d entries", c.Size))
		case status == http.StatusUnprocessableEntity:
			return "", v.conflict(ctx, fmt.Sprintf("the tree of %d entries that it cosigned is not the beginning of that of %d", v.size, c.Size))
		default:
			return "", refusal(status)
		}
	}
}

func refusal(status int) error {
	switch status {
	case http.StatusNotFound:
		return errors.New("it does not know this log: give it the log's key")
	case http.StatusForbidden:
		return errors.New("it knows this log under another key")
	}
	return fmt.Errorf("it answered %d", status)
}

// signature takes the witness's own signature out of its answer; others in it are ignored.
func (v *witnessView) signature(c Checkpoint, answer []byte) (string, error) {
	n, err := note.Open(append(bytes.Clone(c.Raw), answer...), note.VerifierList(v.key))
	if err != nil || len(n.Sigs) == 0 {
		return "", errors.New("its answer has no cosignature of its key")
	}
	return fmt.Sprintf("— %s %s\n", n.Sigs[0].Name, n.Sigs[0].Base64), nil
}

// send makes one request.
func (v *witnessView) send(ctx context.Context, method, address string, body io.Reader) (status int, kind string, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return 0, "", nil, err
	}
	resp, err := v.log.o.Witnesses.Client.Do(r)
	if err != nil {
		return 0, "", nil, fmt.Errorf("it cannot be reached: %w", err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, resp.Header.Get("Content-Type"), answer, err
}

// conflict asks for the checkpoint that the witness keeps (which witnesses of Entente show). Signed by this log's key and no
// part of its history, it proves that the log was rolled back or forked: the log ends.
func (v *witnessView) conflict(ctx context.Context, what string) error {
	err := fmt.Errorf("%w: %s", errConflict, what)
	address := strings.TrimSuffix(v.address, "add-checkpoint") + "checkpoint?origin=" + url.QueryEscape(v.log.Origin())
	status, _, answer, getErr := v.send(ctx, http.MethodGet, address, nil)
	if getErr != nil || status != http.StatusOK {
		return err
	}
	kept, parseErr := ParseCheckpoint(answer, v.log.check)
	if parseErr != nil {
		return err
	}
	return errors.Join(err, v.log.confront(ctx, kept))
}

// confront compares a checkpoint of this log with its tree.
func (l *Log) confront(ctx context.Context, kept Checkpoint) error {
	l.mu.Lock()
	integrated := l.integrated
	l.mu.Unlock()
	if head, _ := l.audit.Head(); kept.Size <= head {
		if kept.Size > integrated {
			return nil // it will be compared when the tree has grown
		}
		if root, err := treeRoot(ctx, fetcher(l.treeDir()), kept.Size, integrated); err != nil || bytes.Equal(root, kept.Root) {
			return err
		}
	}
	err := fmt.Errorf("%w: a checkpoint of %d entries is signed by this log and no part of its history: it was rolled back or forked. It has ended; start another in an empty folder",
		ErrMismatch, kept.Size)
	if e := WriteFile(l.evidenceFile(), kept.Raw, 0o644); e != nil {
		l.o.Logger.Error("the evidence cannot be kept", "error", e)
	}
	l.guard.end()
	l.mu.Lock()
	l.ended = err
	l.mu.Unlock()
	return err
}
