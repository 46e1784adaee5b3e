package transparency

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/entente-dev/entente/gateway/audit"
)

// A leaf is 81 bytes, integers big-endian:
//
//	0  version, 1    1  sequence number    9  time, Unix nanoseconds    17  salted commitment    49  chain hash
const (
	leafVersion = 1
	leafSize    = 1 + 8 + 8 + 32 + 32
)

var errLeaf = errors.New("leaf is not in a form that this version knows")

// EncodeLeaf gives the leaf of an entry.
func EncodeLeaf(e audit.ChainEntry) []byte {
	b := make([]byte, leafSize)
	b[0] = leafVersion
	binary.BigEndian.PutUint64(b[1:], e.Seq)
	binary.BigEndian.PutUint64(b[9:], uint64(e.Nanos))
	copy(b[17:], e.Commitment[:])
	copy(b[49:], e.Hash[:])
	return b
}

// DecodeLeaf is the inverse of EncodeLeaf.
func DecodeLeaf(b []byte) (audit.ChainEntry, error) {
	if len(b) != leafSize || b[0] != leafVersion {
		return audit.ChainEntry{}, errLeaf
	}
	e := audit.ChainEntry{Seq: binary.BigEndian.Uint64(b[1:]), Nanos: int64(binary.BigEndian.Uint64(b[9:]))}
	copy(e.Commitment[:], b[17:])
	copy(e.Hash[:], b[49:])
	return e, nil
}

func leafHash(leaf []byte) []byte {
	var b [1 + leafSize]byte
	b[0] = rfc6962.RFC6962LeafHashPrefix
	sum := sha256.Sum256(append(b[:1], leaf...))
	return sum[:]
}

// Origin is the name of the transparency log of a write-ahead log.
func Origin(id audit.Identity) string {
	domain, replica, _ := strings.Cut(id.Origin, "/")
	if replica == "" {
		return domain + "/log/" + id.ID
	}
	return domain + "/log/" + replica + "/" + id.ID
}
