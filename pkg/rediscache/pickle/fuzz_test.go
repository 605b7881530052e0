package pickle_test

import (
	"testing"

	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

// Promise: any bytes give a value or an error, and every value that was read can be shown and walked, and, if it can be
// written, is read again as the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"N.", "(I1\nS'a'\nl.", "\x80\x04]\x94(K\x01h\x00e.", "cdatetime\ndatetime\n(C\x0a\x07\xe8\x02\x1d\x0c\x1e\x00\x00\x00\x00cdatetime\ntimezone\n(cdatetime\ntimedelta\n(K\x00K\x00K\x00tRtRtR.",
		"ccopy_reg\n_reconstructor\n(cuuid\nUUID\nc__builtin__\nobject\nNtR(S'int'\nL5L\ndb.",
		"\x80\x05\x96\x02\x00\x00\x00\x00\x00\x00\x00ab.", "c__builtin__\ngetattr\n(czoneinfo\nZoneInfo\nVa\ntR.", "\x8f(K\x01\x90.", "(cdecimal\nDecimal\nV1.5\no.",
	} {
		f.Add([]byte(seed))
	}
	instance, err := pickle.Append(nil, pickle.NewModel("forge", "Template", "default", "4.2", []pickle.Pair{{Key: pickle.Str("id"), Value: pickle.Int(1)}}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(instance)
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := pickle.Stored(data, pickle.Limits{Bytes: 1 << 16, Values: 1 << 14})
		if err != nil {
			return
		}
		shown := pickle.Repr(v, 2000)
		pickle.Models(v)
		pickle.Classes(v)
		again, err := pickle.Append(nil, v)
		if err != nil || len(again) > 1<<20 {
			return // shared values can make a small pickle a large one
		}
		back, err := pickle.Parse(again, pickle.Limits{})
		if err != nil {
			t.Fatalf("%q was written, but not read: %v", again, err)
		}
		if got := pickle.Repr(back, 2000); got != shown {
			t.Errorf("read  %s\nwrote %s", shown, got)
		}
	})
}
