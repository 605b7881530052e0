package pickle_test

import (
	"bytes"
	"errors"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

// Promise: nothing is imported or called; what a pickle wants called is only shown.
func TestExecutesNothing(t *testing.T) {
	v, err := pickle.Parse([]byte("cos\nsystem\n(S'touch /tmp/owned'\ntR."), pickle.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := pickle.Repr(v, 100); got != "os.system('touch /tmp/owned')" {
		t.Error(got)
	}
}

// Promise: what is no pickle, or not a whole one, is an error with the place; never a panic.
func TestBroken(t *testing.T) {
	good, err := pickle.Append(nil, &pickle.Dict{Pairs: []pickle.Pair{
		{Key: pickle.Str("a"), Value: &pickle.List{Items: []pickle.Value{pickle.Int(1), pickle.Float(2), pickle.Decimal("3")}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		if _, err := pickle.Parse(good[:i], pickle.Limits{}); err == nil {
			t.Errorf("the first %d bytes were taken for a whole pickle", i)
		}
	}
	for _, text := range []string{
		"", ".", "N", "NN.", "(.", "(N.", "]N.", "a.", "\x80\x06N.", "\x80\x04N.N", "h\x00.", "g-1\n.", "Px\n.", "\x97.", "\x98.",
		"I1_0\n.", "Ix\n.", "L1\n", "Fx\n.", "V\\u12\n.", "V\\U00110000\n.", "S'a\n.", "X\xff\xff\xff\xffabc.", "\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.",
		"\x8b\xff\xff\xff\xffabc.", "\x95\xff\xff\xff\xff\xff\xff\xff\xffN.", "NNR.", "N)R.", "(o.", "}(Nu.", "NN\x93.", "NNb.", "cuuid\nUUID\n)R}b.", "(2.",
	} {
		_, err := pickle.Parse([]byte(text), pickle.Limits{})
		var place *pickle.Error
		if !errors.As(err, &place) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Promise: the limits hold: for the size, for the number of values, for the depth, and for what one argument costs that
// is used again and again.
func TestLimits(t *testing.T) {
	for name, data := range map[string]string{
		"bytes":  "\x80\x04" + strings.Repeat("N0", 1<<20) + "N.",
		"values": "(" + strings.Repeat("N", 3000) + "l.",
		"marks":  strings.Repeat("(", 3000) + ".",
		"memo":   "N" + strings.Repeat("\x94", 3000) + ".",
		"depth":  "]" + strings.Repeat("\x85", 500) + ".",
		"lists":  strings.Repeat("]", 500) + strings.Repeat("a", 499) + ".",
		"zones":  "(" + strings.Repeat("]", 400) + strings.Repeat("a", 399) + "l.",
		"calls": "X\x00\x20\x00\x00" + strings.Repeat("x", 0x2000) + "q\x00X\x06\x00\x00\x00latin1q\x010" +
			strings.Repeat("0c_codecs\nencode\n(h\x00h\x01tR", 50) + ".",
	} {
		_, err := pickle.Parse([]byte(data), pickle.Limits{Values: 2000, Bytes: 1 << 20, Depth: 200})
		if !errors.Is(err, pickle.ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Promise: the worst of a bounded pickle costs bounded memory: a list for each byte.
func TestMemory(t *testing.T) {
	data := []byte("(" + strings.Repeat("]", 1<<20-10) + "l.")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	v, err := pickle.Parse(data, pickle.Limits{})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if used := after.HeapAlloc - before.HeapAlloc; used > 150<<20 {
		t.Errorf("%d MB for a million values", used>>20)
	}
	runtime.KeepAlive(v)
}

// Promise: a text of many escapes takes linear time.
func TestEscapesAreLinear(t *testing.T) {
	data := []byte("V" + strings.Repeat("\\u4e16", 2_000_000) + "\n.")
	v, err := pickle.Parse(data, pickle.Limits{})
	if err != nil || len(v.(pickle.Str)) != 6_000_000 {
		t.Errorf("%T, %v", v, err)
	}
}

// Promise: whole numbers lie in Redis as digits, by the rules of Python's int; everything else as a pickle.
func TestStored(t *testing.T) {
	huge := new(big.Int).Lsh(big.NewInt(1), 20000)
	for _, c := range []struct {
		data string
		want pickle.Value
	}{
		{"0", pickle.Int(0)}, {"-17", pickle.Int(-17)}, {"1_000", pickle.Int(1000)}, {" +5\n", pickle.Int(5)},
		{"18446744073709551616", pickle.NewInt(new(big.Int).Lsh(big.NewInt(1), 64))},
		{"N.", pickle.None{}}, {"I01\n.", pickle.Bool(true)},
	} {
		v, err := pickle.Stored([]byte(c.data), pickle.Limits{})
		if err != nil || pickle.Repr(v, 100) != pickle.Repr(c.want, 100) {
			t.Errorf("%q: %v, %v", c.data, v, err)
		}
	}
	for _, text := range []string{"", "_1", "1_", "1__0", "1.5", "+-1", "abc"} {
		if v, err := pickle.Stored([]byte(text), pickle.Limits{}); err == nil {
			t.Errorf("%q is %v", text, v)
		}
	}
	for v, want := range map[pickle.Value]string{pickle.Int(-5): "-5", pickle.Bool(true): "\x80\x04\x88.", &pickle.Big{Int: big.NewInt(7)}: "7"} {
		if got, err := pickle.Store(v); err != nil || string(got) != want {
			t.Errorf("%v: %q, %v", v, got, err)
		}
	}
	data, err := pickle.Store(&pickle.Big{Int: huge})
	if err != nil || !bytes.HasPrefix(data, []byte("\x80\x04")) {
		t.Errorf("more digits than Python reads: %.10q, %v", data, err)
	}
}

// Promise: a model says its label and the Django that wrote it, also inside of other values and when its state is shared.
func TestModels(t *testing.T) {
	instance := pickle.NewModel("forge", "Template", "default", "5.2.11", []pickle.Pair{{Key: pickle.Str("id"), Value: pickle.Int(1)}})
	data, err := pickle.Append(nil, &pickle.List{Items: []pickle.Value{pickle.Int(1), &pickle.Dict{Pairs: []pickle.Pair{{Key: pickle.Str("k"), Value: instance}}}}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := pickle.Parse(data, pickle.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	models := pickle.Models(v)
	if len(models) != 1 || models[0].Class != "forge.Template" || models[0].Version != "5.2.11" {
		t.Errorf("%+v", models)
	}
	if got := strings.Join(pickle.Classes(v), " "); got != "forge.Template django.db.models.base.ModelState" {
		t.Error(got)
	}
	if got := pickle.Repr(models[0].Object, 200); got != "forge.Template(id=1, _django_version='5.2.11')" {
		t.Error(got)
	}
}

// Promise: what Python could not read is not written.
func TestRefusesToWrite(t *testing.T) {
	for _, v := range []pickle.Value{
		pickle.Str("\xff"), pickle.Decimal("one"), pickle.Date{Year: 0, Month: 1, Day: 1}, pickle.Date{Year: 2023, Month: 2, Day: 29},
		pickle.Delta{Days: 1 << 40}, pickle.Class{Module: "a\nb", Name: "c"}, nil,
	} {
		if data, err := pickle.Append(nil, v); err == nil || len(data) > 0 {
			t.Errorf("%v: %q", v, data)
		}
	}
}

// Promise: a few values that share one another are not written as the very many that they stand for.
func TestSharedIsBounded(t *testing.T) {
	v, err := pickle.Parse([]byte("]"+strings.Repeat("2\x86", 100)+"."), pickle.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pickle.Append(nil, v); !errors.Is(err, pickle.ErrLimit) {
		t.Error(err)
	}
	if got := pickle.Repr(v, 100); len(got) > 110 {
		t.Error(got)
	}
	if pickle.Models(v) != nil {
		t.Error("a model where there is none")
	}
}

// Promise: an instant is computed where the zone needs no table, and only there.
func TestInstant(t *testing.T) {
	at := pickle.DateTime{Date: pickle.Date{Year: 2024, Month: 2, Day: 29}, Clock: pickle.Clock{Hour: 12}, Zone: pickle.UTC()}
	if got, ok := at.Instant(); !ok || !got.Equal(time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)) {
		t.Error(got, ok)
	}
	at.Zone = nil
	if _, ok := at.Instant(); ok {
		t.Error("a naive time has no instant")
	}
	if got := pickle.NewDelta(2, -time.Microsecond); got != (pickle.Delta{Days: 1, Seconds: 86399, Micros: 999999}) {
		t.Error(got)
	}
}
