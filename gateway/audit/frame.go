package audit

import (
	"encoding/binary"
	"hash/crc32"
)

// A payload frame is a head of 20 bytes and what the encoding says.
//
//	0  sequence    8  length of the whole frame    12  encoding    13  flags    14  zero    16  CRC-32C of all the rest
//
// In the clear (all frames of the first form, and records of erasures), the salt and the record follow. Sealed, there follow
//
//	20  number of the data key    24  retain until, Unix seconds, 0: no date    32  nonce    44  AES-256-GCM of salt and record
//
// and the eight bytes before the nonce are authenticated with the rest. An erased frame keeps its length: its flag is set,
// and everything behind the head is zero.
const (
	frameHead      = 20
	sealHead       = 12
	sealOverhead   = 12 + 16 // nonce and tag
	clearMin       = frameHead + saltSize
	sealedMin      = frameHead + sealHead + sealOverhead + saltSize
	frameMax       = sealedMin + MaxRecord
	encodingJSON   = 1
	encodingSealed = 2
	flagErased     = 1
)

// finishFrame fills in the head of a frame whose body is in place.
func finishFrame(f []byte, seq uint64, encoding, flags byte) {
	binary.BigEndian.PutUint64(f, seq)
	binary.BigEndian.PutUint32(f[8:], uint32(len(f)))
	f[12], f[13], f[14], f[15] = encoding, flags, 0, 0
	binary.BigEndian.PutUint32(f[16:], frameSum(f))
}

// eraseFrame makes f the erased frame of its entry.
func eraseFrame(f []byte, seq uint64, encoding byte) {
	clear(f)
	finishFrame(f, seq, encoding, flagErased)
}

func frameSum(f []byte) uint32 {
	return crc32.Update(crc32.Checksum(f[:16], castagnoli), castagnoli, f[frameHead:])
}

// checkFrame says what is wrong with the frame of a chain entry, or nothing. What a sealed frame holds is seen only with its
// key: see opener.
func checkFrame(f []byte, r *chainRecord) (erased bool, fault string) {
	switch {
	case binary.BigEndian.Uint32(f[16:]) != frameSum(f):
		return false, "payload checksum does not match"
	case binary.BigEndian.Uint64(f) != r.seq || int(binary.BigEndian.Uint32(f[8:])) != len(f):
		return false, "payload belongs to another entry"
	case f[12] != encodingJSON && f[12] != encodingSealed || f[13]&^flagErased != 0 || f[14]|f[15] != 0:
		return false, "payload is in a form that this version does not know"
	case f[12] == encodingSealed && len(f) < sealedMin:
		return false, "payload is too short to be sealed"
	case f[13]&flagErased != 0:
		if !isZero(f[frameHead:]) {
			return false, "payload is marked as erased and is not"
		}
		return true, ""
	case f[12] == encodingJSON && commit(f[frameHead:]) != r.commitment:
		return false, faultCommitment
	}
	return false, ""
}

const faultCommitment = "payload does not match its commitment"

// sealed frames only: the number of the data key, and until when the payload is kept.
func frameKey(f []byte) uint32   { return binary.BigEndian.Uint32(f[frameHead:]) }
func frameRetain(f []byte) int64 { return int64(binary.BigEndian.Uint64(f[frameHead+4:])) }
