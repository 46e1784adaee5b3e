package audit

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
)

// journal is what makes a record durable: each run is written to it and synced before it goes to the files of its segment, which
// are synced later, many runs at once. Its blocks have been written before, so that a sync of it has nothing of the file system's own
// to write: that takes half the time, and a third of the processor's.
//
// It has two halves, which are filled in turn. A half is used again when the segment's files have been synced since its last run.
// What is in it is of the segment that its header names, and of the header's epoch; anything else is left over. One run is never
// written over part of another's block. Only the writer uses it.
type journal struct {
	fs   FS
	dir  string
	id   identity
	half int64 // bytes

	file  File // nil: not open
	epoch uint64
	cur   int
	end   int64 // of the runs in the current half

	// What it may hold, of whatever epoch: how far each half has been written, and the first entry; 0: nothing.
	used   [2]int64
	oldest uint64

	buf []byte // a run
}

const journalFile = "journal"

func journalPath(dir string) string { return filepath.Join(dir, journalFile) }

// The journal starts with a header in a block of its own.
//
//	0  magic, 8 bytes    8  id, 16 bytes    24  first sequence of the segment, 0: nothing is to be replayed    32  epoch
//	40  length of a half    48  zero    124  CRC-32C
//
// Then come the halves, of runs that start with a block each.
//
//	0  magic, 8 bytes    8  epoch    16  length of the chain entries    20  length of the payload frames    24  zero
//	28  CRC-32C of all the rest    32  chain entries    then  payload frames    then  zero, to the end of the block
const (
	magicJournal = "ENTAJNL\x01"
	magicRun     = "ENTARUN\x01"
	journalBlock = 4096
	runHead      = 32
	maxHalf      = 4 << 20
	minHalf      = 128 << 10 // more than the largest record needs
)

// halfFor is the length of a half beside segments of a size.
func halfFor(segment int64) int64 {
	return min(max(segment/8, minHalf), maxHalf) &^ (journalBlock - 1)
}

type journalHeader struct {
	id    [16]byte
	first uint64
	epoch uint64
	half  int64
}

func (h *journalHeader) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, magicJournal)
	copy(b[8:], h.id[:])
	binary.BigEndian.PutUint64(b[24:], h.first)
	binary.BigEndian.PutUint64(b[32:], h.epoch)
	binary.BigEndian.PutUint64(b[40:], uint64(h.half))
	putSum(b)
	return b
}

func decodeJournalHeader(b []byte) (h journalHeader, ok bool) {
	if len(b) != headerSize || string(b[:8]) != magicJournal || !sumOK(b) || !isZero(b[48:124]) {
		return h, false
	}
	copy(h.id[:], b[8:])
	h.first = binary.BigEndian.Uint64(b[24:])
	h.epoch = binary.BigEndian.Uint64(b[32:])
	half := binary.BigEndian.Uint64(b[40:])
	if half == 0 || half%journalBlock != 0 || half > 1<<30 {
		return h, false
	}
	h.half = int64(half)
	return h, true
}

// begin has the journal take the runs of a segment, whose files are durable, and forget what it took before. It makes the journal
// when there is none, and overwrites what a crash left in it.
func (j *journal) begin(first uint64) error {
	if j.file != nil {
		return j.turnOver(first)
	}
	if err := j.open(); err != nil {
		return err
	}
	return j.scrub(first)
}

// turnOver voids all that is in the journal by another epoch, durably.
func (j *journal) turnOver(first uint64) error {
	h := journalHeader{id: j.id.id, first: first, epoch: j.epoch + 1, half: j.half}
	if _, err := j.file.WriteAt(h.encode(), 0); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.epoch, j.cur, j.end = h.epoch, 0, 0
	return nil
}

// open opens the journal, of which nothing is needed any more.
func (j *journal) open() error {
	path := journalPath(j.dir)
	h, err := readJournalHeader(path, j.id)
	if errors.Is(err, fs.ErrNotExist) {
		return j.create()
	}
	if err != nil {
		return err
	}
	if j.file, err = j.fs.OpenFile(path, os.O_RDWR, 0); err != nil {
		return err
	}
	j.epoch, j.used, j.oldest = h.epoch, [2]int64{}, 0
	if h.first != 0 {
		j.used = [2]int64{h.half, h.half}
	}
	if h.half == j.half {
		return nil
	}
	// The log is opened with segments of another size.
	wanted := j.half
	j.half = h.half
	err = j.close()
	if j.half = wanted; err != nil {
		return err
	}
	return j.create()
}

// create makes an empty journal in one step. All of its blocks are written, so that a full disk shows now.
func (j *journal) create() (err error) {
	path := journalPath(j.dir)
	j.file, j.epoch, j.used, j.oldest = nil, 0, [2]int64{}, 0
	f, err := j.fs.OpenFile(path+".tmp", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	h := journalHeader{id: j.id.id, half: j.half}
	first := make([]byte, journalBlock)
	copy(first, h.encode())
	_, err = f.WriteAt(first, 0)
	if err == nil {
		err = writeZeros(f, journalBlock, 2*j.half)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, j.fs.Remove(path+".tmp")) // the disk may be full of it
	}
	if err := j.fs.Rename(path+".tmp", path); err != nil {
		return err
	}
	if err := j.fs.SyncDir(j.dir); err != nil {
		return err
	}
	j.file, err = j.fs.OpenFile(path, os.O_RDWR, 0)
	return err
}

func writeZeros(f File, off, n int64) error {
	b := make([]byte, min(n, 1<<20))
	for n > 0 {
		b = b[:min(int64(len(b)), n)]
		if _, err := f.WriteAt(b, off); err != nil {
			return err
		}
		off, n = off+int64(len(b)), n-int64(len(b))
	}
	return nil
}

// zero overwrites what is in the journal, for the next sync.
func (j *journal) zero() error {
	for i, n := range j.used {
		if err := writeZeros(j.file, journalBlock+int64(i)*j.half, n); err != nil {
			return err
		}
	}
	return nil
}

// scrub overwrites what is in the journal, durably. The segment's files have been synced.
func (j *journal) scrub(first uint64) error {
	if err := j.zero(); err != nil {
		return err
	}
	if err := j.turnOver(first); err != nil {
		return err
	}
	j.used, j.oldest = [2]int64{}, 0
	return nil
}

// close leaves a journal with nothing to replay.
func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	err := j.scrub(0)
	return errors.Join(err, j.drop())
}

// drop lets go of the file and leaves it as it is.
func (j *journal) drop() error {
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}

// runSize is what a run takes.
func runSize(chain, payload int) int64 {
	return (int64(runHead+chain+payload) + journalBlock - 1) &^ (journalBlock - 1)
}

// room says whether a run of a size fits in the current half.
func (j *journal) room(size int64) bool { return j.end+size <= j.half }

// turn goes on in the other half.
func (j *journal) turn() { j.cur, j.end = 1-j.cur, 0 }

// write makes a run durable. Whole blocks are written, so that none has to be read.
func (j *journal) write(first uint64, chain, payload []byte) error {
	size := runSize(len(chain), len(payload))
	b := appendRun(j.buf[:0], j.epoch, chain, payload)
	b = append(b, make([]byte, size-int64(len(b)))...)
	j.buf = b
	if j.oldest == 0 {
		j.oldest = first
	}
	j.used[j.cur] = max(j.used[j.cur], j.end+size)
	if _, err := j.file.WriteAt(b, journalBlock+int64(j.cur)*j.half+j.end); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.end += size
	return nil
}

func appendRun(b []byte, epoch uint64, chain, payload []byte) []byte {
	n := len(b)
	b = append(b, make([]byte, runHead)...)
	head := b[n:]
	copy(head, magicRun)
	binary.BigEndian.PutUint64(head[8:], epoch)
	binary.BigEndian.PutUint32(head[16:], uint32(len(chain)))
	binary.BigEndian.PutUint32(head[20:], uint32(len(payload)))
	b = append(append(b, chain...), payload...)
	binary.BigEndian.PutUint32(b[n+28:], runSum(b[n:]))
	return b
}

func runSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:28], castagnoli), castagnoli, b[runHead:])
}
