// Package jsontext finds in JSON what package encoding/json would mend without a word.
package jsontext

// HalfSurrogate says whether an escape stands for half a character, which the decoder would replace without a word.
func HalfSurrogate(text []byte) bool {
	high := false // the last escape was the first half of a pair, and nothing stood since
	for i := 0; i < len(text); {
		if text[i] != '\\' || i+1 >= len(text) {
			if high {
				return true
			}
			i++
			continue
		}
		if text[i+1] != 'u' || i+6 > len(text) {
			if high {
				return true
			}
			i += 2
			continue
		}
		n := hex4(text[i+2 : i+6])
		switch {
		case n >= 0xdc00 && n <= 0xdfff:
			if !high {
				return true
			}
			high = false
		case high:
			return true
		case n >= 0xd800 && n <= 0xdbff:
			high = true
		}
		i += 6
	}
	return high
}

// hex4 reads four hexadecimal digits; -1: they are none, which the decoder will say.
func hex4(b []byte) int {
	n := 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | int(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | int(c-'a'+10)
		case c >= 'A' && c <= 'F':
			n = n<<4 | int(c-'A'+10)
		default:
			return -1
		}
	}
	return n
}
