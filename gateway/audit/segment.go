package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// position is a place in the chain: after the entry last, with its chain hash.
type position struct {
	last uint64
	hash Hash
}

// segment names the two files of a segment. A crash while they are made can leave one of them alone.
type segment struct {
	dir   string
	first uint64
}

const (
	chainSuffix   = ".chain"
	payloadSuffix = ".payload"
)

func (s segment) chain() string {
	return filepath.Join(s.dir, fmt.Sprintf("%020d", s.first)+chainSuffix)
}
func (s segment) payload() string {
	return filepath.Join(s.dir, fmt.Sprintf("%020d", s.first)+payloadSuffix)
}

// listSegments lists the segments in order. Files of other names are not the log's.
func listSegments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var segs []segment
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), chainSuffix)
		if !ok {
			name, ok = strings.CutSuffix(e.Name(), payloadSuffix)
		}
		first, err := strconv.ParseUint(name, 10, 64)
		if !ok || err != nil || len(name) != 20 {
			continue
		}
		if s := (segment{dir, first}); !slices.Contains(segs[max(0, len(segs)-1):], s) {
			segs = append(segs, s)
		}
	}
	return segs, nil // ReadDir sorts by name, and the names have one length
}

// active is the segment that is being written; only the writer uses it.
type active struct {
	segment
	chainFile, payloadFile File
	pos                    position // of the last entry that is durable
	chainEnd, payloadEnd   int64    // behind it
	chainCap, payloadCap   int64
}

// chainShare is how much smaller the chain file is: it has room for entries of chainShare × 128 bytes on average.
const chainShare = 4

// createSegment makes a segment and has it durable before it returns: from then on a write inside it needs no space and
// no directory.
func createSegment(fsys FS, dir string, id identity, pos position, size int64) (_ *active, err error) {
	a := &active{
		segment:  segment{dir, pos.last + 1},
		pos:      pos,
		chainEnd: headerSize, payloadEnd: headerSize,
		chainCap: max(size/chainShare, headerSize+16*recordSize), payloadCap: size,
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	h := header{id: id.id, first: a.first, prev: pos.hash}
	create := func(name, magic string, size int64) (File, error) {
		f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		if err = f.Allocate(size); err == nil {
			_, err = f.WriteAt(h.encode(magic), 0)
		}
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
	if a.payloadFile, err = create(a.payload(), magicPayload, a.payloadCap); err != nil {
		return nil, err
	}
	if a.chainFile, err = create(a.chain(), magicChain, a.chainCap); err != nil {
		return nil, err
	}
	return a, fsys.SyncDir(dir)
}

// room says whether a frame of n bytes fits, with the seal that comes last.
func (a *active) room(n int) bool {
	return a.payloadEnd+int64(n) <= a.payloadCap && a.chainEnd+2*recordSize <= a.chainCap
}

func (a *active) empty() bool { return a.pos.last < a.first }

// close lets go of the files and leaves them as they are.
func (a *active) close() {
	if a.chainFile != nil {
		a.chainFile.Close()
	}
	if a.payloadFile != nil {
		a.payloadFile.Close()
	}
}

// ending is where a segment ends.
type ending struct {
	pos                  position
	chainEnd, payloadEnd int64
	// Where the last batch starts: what comes before it is known to be on disk.
	batchChain, batchPayload int64
}

// sealSegment cuts a segment to its entries and closes it for good. Each step is durable before the next, so that a seal
// is never followed by anything.
func sealSegment(fsys FS, s segment, e ending, nanos int64) error {
	payload, err := fsys.OpenFile(s.payload(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer payload.Close()
	chain, err := fsys.OpenFile(s.chain(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer chain.Close()

	// After a failed sync, and a crash of the process alone, the last batch may be in the page cache only, marked as
	// written. Writing it again makes the next sync mean it.
	if err := rewrite(payload, e.batchPayload, e.payloadEnd); err != nil {
		return err
	}
	if err := rewrite(chain, e.batchChain, e.chainEnd); err != nil {
		return err
	}
	for _, cut := range []struct {
		f   File
		end int64
	}{{payload, e.payloadEnd}, {chain, e.chainEnd}} {
		if err := cut.f.Truncate(cut.end); err != nil {
			return err
		}
		if err := cut.f.Sync(); err != nil {
			return err
		}
	}
	seal := chainRecord{typ: typeSeal, seq: e.pos.last, nanos: nanos, batch: e.pos.last, offset: e.payloadEnd, hash: e.pos.hash}
	if _, err := chain.WriteAt(seal.append(nil), e.chainEnd); err != nil {
		return err
	}
	return chain.Sync()
}

// confirmSeal has the seal that is there durable. It may be in the page cache only, marked as written, when its sync failed.
func confirmSeal(fsys FS, s segment) error {
	st, err := os.Stat(s.chain())
	if err != nil {
		return err
	}
	chain, err := fsys.OpenFile(s.chain(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer chain.Close()
	if err := rewrite(chain, st.Size()-recordSize, st.Size()); err != nil {
		return err
	}
	return chain.Sync()
}

func rewrite(f File, from, to int64) error {
	buf := make([]byte, 64<<10)
	for from < to {
		b := buf[:min(int64(len(buf)), to-from)]
		if _, err := f.ReadAt(b, from); err != nil {
			return err
		}
		if _, err := f.WriteAt(b, from); err != nil {
			return err
		}
		from += int64(len(b))
	}
	return nil
}

// removeSegment removes a segment that has no entries. First it is cut to its headers: what a crash leaves of it, be it one file
// alone, then visibly holds nothing, where the bytes of a torn entry would look like damage.
func removeSegment(fsys FS, s segment) error {
	names := []string{s.payload(), s.chain()}
	for _, name := range names {
		if err := cutToHeader(fsys, name); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := fsys.Remove(name); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return fsys.SyncDir(s.dir)
}

func cutToHeader(fsys FS, name string) error {
	st, err := os.Stat(name)
	if os.IsNotExist(err) || err == nil && st.Size() <= headerSize {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := fsys.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(headerSize)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
