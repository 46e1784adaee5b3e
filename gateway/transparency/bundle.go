package transparency

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/entente-dev/entente/gateway/audit"
)

const bundleFormat = "entente.dev/log-proof/v1"

// Bundle proves that records are in a log, to whoever has the log's key and nothing else of it. It holds the records: handle
// it as the personal data that it is.
type Bundle struct {
	Format string `json:"format"`
	// Key is the verifier key of the log. It proves nothing by itself: compare it with the published one.
	Key     string        `json:"key"`
	Entries []ProvenEntry `json:"entries"`
}

// ProvenEntry is one entry with its proof.
type ProvenEntry struct {
	// Salt and Record are what was committed to, the record as JSON, byte for byte. Both are empty when it was erased: then the
	// entry is proven, and not what it said.
	Salt   []byte `json:"salt,omitempty"`
	Record string `json:"record,omitempty"`
	// Leaf is the entry in the transparency log (EncodeLeaf).
	Leaf []byte `json:"leaf"`
	// Proof that the leaf is in the tree of a checkpoint, in the form of C2SP tlog-proof.
	Proof string `json:"proof"`
}

// ErrNotYet is the error of a proof for an entry that no checkpoint covers yet.
var ErrNotYet = errors.New("no checkpoint covers the entry yet: try again in a second")

// Prove makes the proof of one entry, under the cosigned checkpoint if it covers the entry, and the latest otherwise.
func (f Files) Prove(ctx context.Context, e audit.Entry) (ProvenEntry, error) {
	c := f.Latest
	if f.Cosigned.Size >= e.Seq {
		c = f.Cosigned
	}
	if e.Seq > c.Size {
		return ProvenEntry{}, ErrNotYet
	}
	leaf, hashes, err := Inclusion(ctx, f.Tree, e.Seq, c.Size)
	if err != nil {
		return ProvenEntry{}, err
	}
	p := ProvenEntry{Leaf: leaf, Proof: formatProof(e.Seq-1, hashes, c.Raw)}
	if salt, record, ok := audit.SplitOpening(e.Opening); ok {
		p.Salt, p.Record = bytes.Clone(salt), string(record)
	}
	_, err = p.verify(f.Key)
	return p, err
}

// NewBundle makes a bundle of proven entries.
func (f Files) NewBundle(entries []ProvenEntry) Bundle {
	return Bundle{Format: bundleFormat, Key: f.Key, Entries: entries}
}

// Proven is what a bundle proves of one entry.
type Proven struct {
	audit.ChainEntry
	// Record is nil when the record was erased.
	Record     *audit.Record
	Checkpoint Checkpoint
}

// ParseBundle reads a bundle, strictly.
func ParseBundle(b []byte) (Bundle, error) {
	var out Bundle
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		return out, fmt.Errorf("not a proof: %w", err)
	}
	if _, err := d.Token(); err != io.EOF || out.Format != bundleFormat || len(out.Entries) == 0 {
		return out, fmt.Errorf("not a proof in the form %s", bundleFormat)
	}
	return out, nil
}

// Verify checks every proof under a log's key.
func (b Bundle) Verify(key string) ([]Proven, error) {
	out := make([]Proven, 0, len(b.Entries))
	for i, e := range b.Entries {
		p, err := e.verify(key)
		if err != nil {
			return nil, fmt.Errorf("proof %d: %w", i+1, err)
		}
		out = append(out, p)
	}
	return out, nil
}

func (p ProvenEntry) verify(key string) (Proven, error) {
	v, err := note.NewVerifier(key)
	if err != nil {
		return Proven{}, errors.New("the log's key is not a verifier key")
	}
	index, hashes, raw, err := parseProof(p.Proof)
	if err != nil {
		return Proven{}, err
	}
	c, err := ParseCheckpoint(raw, v)
	if err != nil {
		return Proven{}, fmt.Errorf("the checkpoint is not signed by %s: %w", v.Name(), err)
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, c.Size, leafHash(p.Leaf), hashes, c.Root); err != nil {
		return Proven{}, fmt.Errorf("the leaf is not in the tree of the checkpoint: %w", err)
	}
	entry, err := DecodeLeaf(p.Leaf)
	if err != nil {
		return Proven{}, err
	}
	if entry.Seq != index+1 {
		return Proven{}, errors.New("the leaf is in another place than its number says")
	}
	out := Proven{ChainEntry: entry, Checkpoint: c}
	if p.Record == "" && len(p.Salt) == 0 {
		return out, nil
	}
	opening := append(bytes.Clone(p.Salt), p.Record...)
	if salt, _, ok := audit.SplitOpening(opening); !ok || !bytes.Equal(salt, p.Salt) || audit.Commitment(opening) != entry.Commitment {
		return Proven{}, errors.New("the record is not the one that the log has committed to")
	}
	out.Record = &audit.Record{}
	if err := json.Unmarshal([]byte(p.Record), out.Record); err != nil {
		return Proven{}, errors.New("the record is not in a form that this version reads")
	}
	return out, nil
}

const proofHeader = "c2sp.org/tlog-proof@v1\n"

func formatProof(index uint64, hashes [][]byte, checkpoint []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sindex %d\n", proofHeader, index)
	for _, h := range hashes {
		b.WriteString(base64.StdEncoding.EncodeToString(h) + "\n")
	}
	return b.String() + "\n" + string(checkpoint)
}

// parseProof reads a proof of C2SP tlog-proof; extra data in it is left alone.
func parseProof(text string) (index uint64, hashes [][]byte, checkpoint []byte, err error) {
	bad := errors.New("the proof is not in the form of C2SP tlog-proof")
	rest, ok := strings.CutPrefix(text, proofHeader)
	head, raw, ok2 := strings.Cut(rest, "\n\n")
	lines := strings.Split(head, "\n")
	if strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	if !ok || !ok2 || len(lines) == 0 {
		return 0, nil, nil, bad
	}
	number, ok := strings.CutPrefix(lines[0], "index ")
	if index, err = strconv.ParseUint(number, 10, 64); !ok || err != nil || strconv.FormatUint(index, 10) != number {
		return 0, nil, nil, bad
	}
	for _, line := range lines[1:] {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != 32 || len(hashes) == 64 {
			return 0, nil, nil, bad
		}
		hashes = append(hashes, h)
	}
	return index, hashes, []byte(raw), nil
}
