package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// wantJSON is what encoding/json makes of the record.
func wantJSON(t testing.TB, r *Record) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func checkJSON(t testing.TB, r *Record) {
	t.Helper()
	got, want := appendRecord(nil, r), wantJSON(t, r)
	if !bytes.Equal(got, want) {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	back, err := decodeRecord(got)
	if err != nil {
		t.Fatal(err)
	}
	again, err := decodeRecord(appendRecord(nil, &back))
	if err != nil || !reflect.DeepEqual(back, again) {
		t.Fatalf("round trip:\n%+v\n%+v", back, again)
	}
}

// Every member of Record is encoded: one more is set each time. A member added to Record and not to
// appendRecord fails here.
func TestEncodeEveryMember(t *testing.T) {
	var all Record
	var set func(v reflect.Value, path string)
	set = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			f, name := v.Field(i), path+v.Type().Field(i).Name
			if f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[time.Time]() {
				set(f, name+".")
				continue
			}
			switch p := f.Addr().Interface().(type) {
			case *string:
				*p = "v " + name
			case *Kind:
				*p = Kind(name)
			case *Side:
				*p = Side(name)
			case *bool:
				*p = true
			case *int64:
				*p = int64(-1 - i)
			case *json.RawMessage:
				*p = json.RawMessage(`{"a":["x",1,true]}`)
			case *[]string:
				*p = []string{name, "", "ü"}
			case *time.Time:
				*p = time.Date(2026, 11, 3, 9, 0, 0, 120_000_000+i, time.UTC)
			default:
				t.Fatalf("%s: appendRecord has no such type", name)
			}
			t.Run(name, func(t *testing.T) { checkJSON(t, &all) })
		}
	}
	set(reflect.ValueOf(&all).Elem(), "")
	checkJSON(t, &Record{})
	r := sample(1)
	checkJSON(t, &r)
}

func TestDecodeIsStrict(t *testing.T) {
	for _, s := range []string{``, `{`, `{"disclosure":"a","consent":"b"}`, `{} {}`, `[]`, `{"records":"1"}`} {
		if _, err := decodeRecord([]byte(s)); err == nil {
			t.Errorf("%s: decoded", s)
		}
	}
}

func FuzzEncodeString(f *testing.F) {
	for _, s := range []string{"", "plain", `"\/<>&`, "\x00\x01\b\f\n\r\t\x1f\x7f", "ü€😀\u2028\u2029", "a\xff\xc3(b\xed\xa0\x80", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkJSON(t, &Record{Disclosure: s, Filter: s, Fields: []string{s, "x" + s}, Justification: Justification{Aim: s}})
	})
}
