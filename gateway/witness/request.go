package witness

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/entente-dev/entente/gateway/transparency"
)

// request is an add-checkpoint request, taken apart.
type request struct {
	old    uint64
	hashes [][]byte
	raw    []byte // the checkpoint, with its signatures
	origin string
}

// maxProof is the most hashes of a consistency proof.
const maxProof = 63

// parse takes a body apart. It trusts nothing in it.
func parse(body []byte) (request, error) {
	head, raw, ok := bytes.Cut(body, []byte("\n\n"))
	if !ok {
		return request{}, errors.New("no empty line before the checkpoint")
	}
	lines := strings.Split(string(head), "\n")
	old, ok := strings.CutPrefix(lines[0], "old ")
	r := request{raw: raw}
	var err error
	if r.old, err = strconv.ParseUint(old, 10, 64); !ok || err != nil || strconv.FormatUint(r.old, 10) != old {
		return request{}, errors.New("the first line is not: old, and a number of entries")
	}
	if len(lines)-1 > maxProof {
		return request{}, fmt.Errorf("more than %d hashes", maxProof)
	}
	for _, line := range lines[1:] {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != 32 {
			return request{}, errors.New("a line of the proof is not a hash in base64")
		}
		r.hashes = append(r.hashes, h)
	}
	r.origin, _, ok = strings.Cut(string(raw), "\n")
	if !ok || r.origin == "" {
		return request{}, errors.New("the checkpoint has no origin")
	}
	return r, nil
}

// ParseLogs reads verifier keys of logs, one a line: the key, or a line "log KEY" of C2SP tlog-policy. Other lines of a
// policy are refused: a witness knows logs.
func ParseLogs(b []byte) (map[string]note.Verifier, error) {
	logs := map[string]note.Verifier{}
	for i, line := range strings.Split(string(b), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		key := fields[0]
		if key == "log" && (len(fields) == 2 || len(fields) == 3) {
			key = fields[1]
		} else if len(fields) != 1 {
			return nil, fmt.Errorf("line %d is not the key of a log", i+1)
		}
		v, err := note.NewVerifier(key)
		if err != nil {
			return nil, fmt.Errorf("line %d is not the key of a log: %w", i+1, err)
		}
		if logs[v.Name()] != nil {
			return nil, fmt.Errorf("line %d: %s has a key already; a log has one", i+1, v.Name())
		}
		logs[v.Name()] = v
	}
	return logs, nil
}

func checkpoint(r request, v note.Verifier) (transparency.Checkpoint, error) {
	return transparency.ParseCheckpoint(r.raw, v)
}
