package jsontext

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf16"
)

func TestHalfSurrogate(t *testing.T) {
	for text, want := range map[string]bool{
		`"\ud83d\ude00"`: false, `"😀"`: false, `"\u00e9\n\\ud800"`: false, `"\\\\ud800"`: false, `""`: false, `{"\ud83d\ude00": 1}`: false,
		`"\ud800"`: true, `"\ud800x"`: true, `"\ud800\n"`: true, `"\ude00"`: true, `"\ude00\ud83d"`: true, `"\uD800\uD800\uDC00"`: true, `{"\ud800": 1}`: true, `"\\\ud800"`: true,
	} {
		if got := HalfSurrogate([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// FuzzHalfSurrogate: of strings that have none, the decoder makes what was written.
func FuzzHalfSurrogate(f *testing.F) {
	f.Add(`\ud83d\ude00 \\ud800 \u0041`)
	f.Add(`\ud800\ud800`)
	f.Fuzz(func(t *testing.T, s string) {
		text := []byte(`"` + s + `"`)
		var got string
		if json.Unmarshal(text, &got) != nil || strings.ContainsRune(s, '\uFFFD') || strings.Contains(strings.ToLower(s), "fffd") || strings.ToValidUTF8(s, "") != s {
			return
		}
		if mended := strings.ContainsRune(got, '\uFFFD'); mended != HalfSurrogate(text) {
			t.Errorf("%q becomes %q (%x)", s, got, utf16.Encode([]rune(got)))
		}
	})
}
