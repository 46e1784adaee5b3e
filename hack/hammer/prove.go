package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/transparency"
)

// logged is what a log has of a disclosure.
type logged struct {
	intent, outcome bool
	denial          bool
	digest          string
	seqs            []uint64
	commitments     []audit.Hash
}

// prove looks for the proofs of all answers that were received.
func (h *hammer) prove(ctx context.Context, o options) error {
	began := time.Now()
	logs := map[string]map[string]*logged{}
	entries := uint64(0)
	for _, agency := range h.w.Agencies() {
		dir := h.w.LogDir(agency)
		rep, err := audit.Verify(dir, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", agency, err)
		}
		if rep.Sealed > 0 {
			return fmt.Errorf("%s: %d records could not be opened", agency, rep.Sealed)
		}
		entries += rep.Entries
		if logs[agency], err = index(dir); err != nil {
			return fmt.Errorf("%s: %w", agency, err)
		}
	}
	fmt.Printf("three logs of %d entries verify, with their keys\n", entries)

	var missing []error
	needed := map[string]map[uint64]audit.Hash{} // by agency: what needs a proof of inclusion
	for _, a := range h.answers {
		if err := check(a, logs, needed); err != nil {
			missing = append(missing, fmt.Errorf("disclosure %s, %s asked %s, %s: %w", a.Disclosure, a.recipient, a.Agency, a.Outcome, err))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d of %d answers have no proof, the first: %w", len(missing), len(h.answers), missing[0])
	}
	fmt.Printf("each of the %d answers is in both logs, with one digest\n", len(h.answers))

	proofs := 0
	for _, agency := range h.w.Agencies() {
		n, err := included(ctx, h.w.LogDir(agency), needed[agency], o)
		if err != nil {
			return fmt.Errorf("%s: %w", agency, err)
		}
		proofs += n
	}
	fmt.Printf("%d inclusion proofs lead to signed checkpoints; looked at in %s\n", proofs, time.Since(began).Round(time.Second))
	return nil
}

// index reads a log by disclosure.
func index(dir string) (map[string]*logged, error) {
	out := map[string]*logged{}
	return out, audit.Read(dir, func(e audit.Entry) error {
		l := out[e.Record.Disclosure]
		if l == nil {
			l = &logged{}
			out[e.Record.Disclosure] = l
		}
		l.seqs, l.commitments = append(l.seqs, e.Seq), append(l.commitments, e.Commitment)
		switch e.Record.Kind {
		case audit.Intent:
			l.intent = true
		case audit.Outcome:
			l.outcome, l.digest = true, e.Record.ResponseDigest
		case audit.Denial:
			l.denial = true
		}
		return nil
	})
}

// check says what is missing of an answer, and notes what has to be in the transparency logs.
func check(a received, logs map[string]map[string]*logged, needed map[string]map[uint64]audit.Hash) error {
	mine, theirs := logs[a.recipient][a.Disclosure], logs[a.Agency][a.Disclosure]
	need := func(agency string, l *logged) {
		if needed[agency] == nil {
			needed[agency] = map[uint64]audit.Hash{}
		}
		for i, seq := range l.seqs {
			needed[agency][seq] = l.commitments[i]
		}
	}
	if mine == nil {
		return errors.New("the recipient's log has nothing of it")
	}
	need(a.recipient, mine)
	switch {
	case a.Local && !mine.denial:
		return errors.New("the recipient's log has no denial")
	case a.Local:
		return nil
	case !mine.outcome:
		return errors.New("the recipient's log has no outcome")
	case a.Outcome == "UNAVAILABLE" || a.Outcome == "TIMEOUT":
		return nil // the source may never have heard of it
	case theirs == nil:
		return errors.New("the source's log has nothing of it")
	}
	need(a.Agency, theirs)
	switch {
	case a.Outcome == "DENIED" && theirs.denial:
		return nil
	case !theirs.intent || !theirs.outcome:
		return errors.New("the source's log lacks the intent or the outcome")
	case theirs.digest != mine.digest || a.Outcome == "OK" && theirs.digest == "":
		return errors.New("the logs have two digests of the response")
	}
	return nil
}

// included checks that entries are in the transparency log, under its last checkpoint, and gives how many proofs it looked at.
func included(ctx context.Context, dir string, entries map[uint64]audit.Hash, o options) (int, error) {
	last := uint64(0)
	for seq := range entries {
		last = max(last, seq)
	}
	files, err := transparency.ReadFiles(dir)
	for deadline := time.Now().Add(o.checkpointsAfter); err == nil && files.Latest.Size < last; files, err = transparency.ReadFiles(dir) {
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("the last checkpoint is of %d entries, an answer is entry %d", files.Latest.Size, last)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	if err != nil {
		return 0, err
	}
	size := files.Latest.Size
	var root tlog.Hash
	copy(root[:], files.Latest.Root)
	every := max(1, len(entries)/o.proofs)
	i, n := 0, 0
	for seq, commitment := range entries {
		if i++; i%every != 0 {
			continue
		}
		leaf, hashes, err := transparency.Inclusion(ctx, files.Tree, seq, size)
		if err != nil {
			return n, fmt.Errorf("entry %d: %w", seq, err)
		}
		e, err := transparency.DecodeLeaf(leaf)
		if err != nil || e.Seq != seq || !bytes.Equal(e.Commitment[:], commitment[:]) {
			return n, fmt.Errorf("entry %d: the leaf is of another record (%v)", seq, err)
		}
		proof := make(tlog.RecordProof, len(hashes))
		for j, h := range hashes {
			copy(proof[j][:], h)
		}
		if err := tlog.CheckRecord(proof, int64(size), root, int64(seq-1), tlog.RecordHash(leaf)); err != nil {
			return n, fmt.Errorf("entry %d: %w", seq, err)
		}
		n++
	}
	return n, nil
}
