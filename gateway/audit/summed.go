package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The small files of a log are one JSON object with the CRC-32C of the object without it as their last member.

const sumMember = `,"crc32c":"%08x"}` + "\n"

func encodeSummed(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	sum := crc32.Checksum(b, castagnoli)
	return fmt.Appendf(b[:len(b)-1], sumMember, sum), nil
}

// decodeSummed is strict: a byte that is not as encodeSummed wrote it is an error.
func decodeSummed(b []byte, v any) error {
	n := len(b) - len(fmt.Sprintf(sumMember, 0))
	if n < 1 {
		return errors.New("is too short")
	}
	object := append(bytes.Clone(b[:n]), '}')
	if fmt.Sprintf(sumMember, crc32.Checksum(object, castagnoli)) != string(b[n:]) {
		return errors.New("does not match its checksum")
	}
	d := json.NewDecoder(bytes.NewReader(object))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New("does not parse")
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("does not parse")
	}
	return nil
}
