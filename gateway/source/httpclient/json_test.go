package httpclient

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"a":[1,-2.50,1e3,true,null,"x\ud83d\ude00\n"]}`: true, ` 7 `: true, `"\\ud800"`: true, `{}`: true, `[]`: true,
		``: false, `{`: false, `{"a":1,}`: false, `[1]]`: false, `{"a":1}{}`: false, `{"a":1,"\u0061":2}`: false, `"\ud83d"`: false, `"\ude00\ud83d"`: false,
		`"\ud83dx\ude00"`: false, `"\ud83d\n\ude00"`: false, `NaN`: false, `'a'`: false, "\"\xff\"": false, "\ufeff{}": false,
		strings.Repeat("[", 33) + strings.Repeat("]", 33): false, strings.Repeat("[", 32) + strings.Repeat("]", 32): true,
	} {
		if _, err := Parse([]byte(text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What is parsed is what encoding/json makes of it, exactly.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.50,1e3,true,null,"x\ud83d\ude00\n"]}`, `{"a":1,"a":2}`, `"\ud800"`, `[[[[]]]]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := Parse(text)
		if err != nil {
			return
		}
		var want any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
