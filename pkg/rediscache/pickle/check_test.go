package pickle_test

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

// anything is a value of a kind that a row can become.
func anything(r *rand.Rand, depth int) pickle.Value {
	kinds := 14
	if depth == 0 {
		kinds = 11
	}
	clock := pickle.Clock{Hour: r.IntN(24), Minute: r.IntN(60), Second: r.IntN(60), Micro: r.IntN(1000000), Fold: r.IntN(2)}
	date := pickle.Date{Year: 1 + r.IntN(9999), Month: 1 + r.IntN(12), Day: 1 + r.IntN(28)}
	zone := []pickle.Value{nil, pickle.UTC()}[r.IntN(2)]
	switch r.IntN(kinds) {
	case 0:
		return pickle.None{}
	case 1:
		return pickle.Bool(r.IntN(2) == 0)
	case 2:
		return pickle.Int(int64(r.Uint64()) >> r.IntN(64))
	case 3:
		return pickle.NewInt(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(r.Int64()), uint(r.IntN(300))), big.NewInt(r.Int64())))
	case 4:
		return pickle.Float(math.Float64frombits(r.Uint64()))
	case 5:
		return pickle.Str([]string{"", "a", "é\n'", "\U0001f600"}[r.IntN(4)])
	case 6:
		return pickle.Bytes([]string{"", "\x00\xff"}[r.IntN(2)])
	case 7:
		return pickle.Decimal([]string{"1.50", "-0", "NaN", "1E+3", "Infinity"}[r.IntN(5)])
	case 8:
		return &pickle.UUID{Bytes: [16]byte{byte(r.Uint32()), 15: byte(r.Uint32())}}
	case 9:
		return []pickle.Value{date, pickle.DateTime{Date: date, Clock: clock, Zone: zone}, pickle.Time{Clock: clock, Zone: zone}}[r.IntN(3)]
	case 10:
		return pickle.NewDelta(r.Int64N(1000), time.Duration(r.Int64N(1e15)))
	}
	var items []pickle.Value
	for range r.IntN(6) {
		items = append(items, anything(r, depth-1))
	}
	var pairs []pickle.Pair
	for _, item := range items {
		pairs = append(pairs, pickle.Pair{Key: pickle.Str("k"), Value: item})
	}
	return []pickle.Value{&pickle.List{Items: items}, &pickle.Tuple{Items: items}, &pickle.Dict{Pairs: pairs},
		pickle.NewModel("forge", "Template", "default", "5.2", pairs)}[r.IntN(4)]
}

// Promise: what the writer makes of the values of rows, the checker takes, and says the fields of; and the reader that
// builds values agrees.
func TestCheckTakesWhatIsWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var c pickle.Checker
	for range 1500 {
		v := anything(r, 4)
		data, err := pickle.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Check(data); err != nil {
			t.Fatalf("%v: %s (%q)", err, pickle.Repr(v, 500), data)
		}
		if back, err := pickle.Parse(data, pickle.Limits{}); err != nil || pickle.Repr(back, 1<<20) != pickle.Repr(v, 1<<20) {
			t.Fatalf("%v: %s", err, pickle.Repr(v, 500))
		}
		for i := range data { // one byte less, or another one: what it still takes, the reader takes and the writer writes
			changed := bytes.Clone(data)
			changed[i] ^= byte(1 + r.IntN(255))
			agree(t, &c, changed)
			agree(t, &c, data[:i])
		}
	}
}

// agree holds the promise of Checker for any bytes.
func agree(t *testing.T, c *pickle.Checker, data []byte) {
	t.Helper()
	if _, err := c.Check(data); err != nil {
		var bad *pickle.Error
		if !errors.As(err, &bad) {
			t.Fatal(err)
		}
		return
	}
	v, err := pickle.Parse(data, pickle.Limits{})
	if err != nil {
		t.Fatalf("the checker takes %q, the reader says %v", data, err)
	}
	if again, err := pickle.Append(nil, v); err != nil || !bytes.Equal(again, data) {
		t.Fatalf("%q is written as %q (%v)", data, again, err)
	}
}

// Promise: each instruction that is written without a Value is that of the Value.
func TestAppendPieces(t *testing.T) {
	day, clock := pickle.Date{Year: 2024, Month: 2, Day: 29}, pickle.Clock{Hour: 23, Minute: 59, Second: 58, Micro: 987654}
	u := &pickle.UUID{Bytes: [16]byte{1, 2, 3}}
	for _, one := range []struct {
		is   pickle.Value
		made []byte
	}{
		{pickle.None{}, pickle.AppendNone(nil)}, {pickle.Bool(true), pickle.AppendBool(nil, true)}, {pickle.Bool(false), pickle.AppendBool(nil, false)},
		{pickle.Str("é"), pickle.AppendStr(nil, []byte("é"))}, {pickle.Bytes("\xff"), pickle.AppendBytes(nil, []byte("\xff"))},
		{pickle.Float(0.1), pickle.AppendFloat(nil, 0.1)}, {pickle.Decimal("1.50"), pickle.AppendDecimal(nil, []byte("1.50"))},
		{u, pickle.AppendUUID(nil, []byte(u.String()))}, {day, pickle.AppendDate(nil, day)},
		{pickle.DateTime{Date: day, Clock: clock}, pickle.AppendDateTime(nil, day, clock, false)},
		{pickle.DateTime{Date: day, Clock: clock, Zone: pickle.UTC()}, pickle.AppendDateTime(nil, day, clock, true)},
	} {
		if want, err := pickle.AppendValue(nil, one.is); err != nil || !bytes.Equal(one.made, want) {
			t.Errorf("%s: %q, want %q, %v", pickle.Repr(one.is, 100), one.made, want, err)
		}
	}
	var c pickle.Checker
	for shift := range 64 {
		for _, n := range []int64{1 << shift, 1<<shift - 1, 1<<shift + 1, -1 << shift, -1<<shift - 1, -1<<shift + 1} {
			want, err := pickle.Append(nil, pickle.Int(n))
			if made := append(pickle.AppendInt([]byte(pickle.Begin), n), pickle.End...); err != nil || !bytes.Equal(made, want) {
				t.Errorf("%d: %q, want %q", n, made, want)
			}
			s, err := c.Check(want)
			if got, ok := c.Int(s); err != nil || ok && got != n || !ok && n != math.MinInt64 {
				t.Errorf("%d is read as %d, %v, %v", n, got, ok, err)
			}
		}
	}
}

// FuzzCheck: it does not panic, and what it takes the reader takes, and the writer writes again byte for byte.
func FuzzCheck(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		data, err := pickle.Append(nil, anything(r, 3))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var c pickle.Checker
		agree(t, &c, data)
	})
}
