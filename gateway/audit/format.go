package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// Hash is a SHA-256 value: a commitment, or a chain hash.
type Hash [sha256.Size]byte

// String is sha256:, then base64url, as all digests of Entente are written.
func (h Hash) String() string { return "sha256:" + base64.RawURLEncoding.EncodeToString(h[:]) }

// MarshalText is String.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// Domains keep a hash made for one use from passing as one made for another.
const (
	domainGenesis    = "entente.dev/audit/v1 genesis\n"
	domainCommitment = "entente.dev/audit/v1 commitment\n"
	domainChain      = "entente.dev/audit/v1 chain\n"
)

const saltSize = 32

// genesis is the chain hash before the first entry. The random id in the origin file makes two logs of one name differ.
func genesis(origin []byte) Hash {
	return sha256.Sum256(append([]byte(domainGenesis), origin...))
}

// commit is what the chain keeps of a record. salted is the salt, then the payload. The salt keeps a commitment to a
// record that is easy to guess from being confirmed by guessing, after the payload is erased too.
func commit(salted []byte) Hash {
	h := sha256.New()
	h.Write([]byte(domainCommitment))
	h.Write(salted)
	return Hash(h.Sum(nil))
}

// link is the chain hash of an entry. It covers the time, so that the order and the times stand when payloads are erased.
func link(prev Hash, seq uint64, nanos int64, commitment Hash) Hash {
	var b [len(domainChain) + 2*sha256.Size + 16]byte
	n := copy(b[:], domainChain)
	n += copy(b[n:], prev[:])
	binary.BigEndian.PutUint64(b[n:], seq)
	binary.BigEndian.PutUint64(b[n+8:], uint64(nanos))
	copy(b[n+16:], commitment[:])
	return sha256.Sum256(b[:])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Both files of a segment start with a header; it binds them to the log and to what came before.
//
//	0  magic, 8 bytes    8  id, 16 bytes    24  first sequence    32  chain hash before it    64  zero    124  CRC-32C
//
// The payload files of the first form hold records in the clear, those of the second hold them sealed.
const (
	headerSize        = 128
	magicChain        = "ENTACHN\x01"
	magicPayloadClear = "ENTAPLD\x01"
	magicPayload      = "ENTAPLD\x02"
)

type header struct {
	id    [16]byte
	first uint64
	prev  Hash
}

func (h *header) encode(magic string) []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	copy(b[8:], h.id[:])
	binary.BigEndian.PutUint64(b[24:], h.first)
	copy(b[32:], h.prev[:])
	putSum(b)
	return b
}

func decodeHeader(b []byte, magics ...string) (h header, ok bool) {
	if len(b) != headerSize || !slices.Contains(magics, string(b[:8])) || !sumOK(b) || !isZero(b[64:124]) {
		return h, false
	}
	copy(h.id[:], b[8:])
	h.first = binary.BigEndian.Uint64(b[24:])
	copy(h.prev[:], b[32:])
	return h, true
}

// A chain record is 128 bytes, so that none straddles a disk sector.
//
//	0  type    4  payload length    8  sequence    16  time, Unix nanoseconds    24  first sequence of its batch
//	32  offset in the payload file    40  commitment    72  chain hash    104  zero    124  CRC-32C
//
// An entry's offset and length are those of its payload frame. A seal has the last sequence and chain hash, and the length
// of the payload file as its offset; it is the last record of its file.
const (
	recordSize = 128
	typeEntry  = 1
	typeSeal   = 2
)

type chainRecord struct {
	typ        byte
	length     uint32
	seq        uint64
	nanos      int64
	batch      uint64
	offset     int64
	commitment Hash
	hash       Hash
}

func (r *chainRecord) append(b []byte) []byte {
	n := len(b)
	b = append(b, make([]byte, recordSize)...)
	p := b[n:]
	p[0] = r.typ
	binary.BigEndian.PutUint32(p[4:], r.length)
	binary.BigEndian.PutUint64(p[8:], r.seq)
	binary.BigEndian.PutUint64(p[16:], uint64(r.nanos))
	binary.BigEndian.PutUint64(p[24:], r.batch)
	binary.BigEndian.PutUint64(p[32:], uint64(r.offset))
	copy(p[40:], r.commitment[:])
	copy(p[72:], r.hash[:])
	putSum(p)
	return b
}

// decodeChainRecord is false for what is not a whole record, zeros included.
func decodeChainRecord(p []byte) (r chainRecord, ok bool) {
	if len(p) != recordSize || (p[0] != typeEntry && p[0] != typeSeal) || !isZero(p[1:4]) || !isZero(p[104:124]) || !sumOK(p) {
		return r, false
	}
	r.typ = p[0]
	r.length = binary.BigEndian.Uint32(p[4:])
	r.seq = binary.BigEndian.Uint64(p[8:])
	r.nanos = int64(binary.BigEndian.Uint64(p[16:]))
	r.batch = binary.BigEndian.Uint64(p[24:])
	r.offset = int64(binary.BigEndian.Uint64(p[32:]))
	copy(r.commitment[:], p[40:])
	copy(r.hash[:], p[72:])
	return r, true
}

// putSum and sumOK keep a checksum in the last four of 128 bytes.
func putSum(p []byte) { binary.BigEndian.PutUint32(p[124:], crc32.Checksum(p[:124], castagnoli)) }
func sumOK(p []byte) bool {
	return binary.BigEndian.Uint32(p[124:]) == crc32.Checksum(p[:124], castagnoli)
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
