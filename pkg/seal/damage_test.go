package seal

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// A flipped bit never passes. In a plain stream a few bits of zstd mean nothing; then the data must be the same.
func TestEveryFlippedBit(t *testing.T) {
	data := rows(1_500)
	for _, sealed := range []bool{false, true} {
		o := Options{}
		if sealed {
			o.Recipients = []*Key{generated(t, "alice", nil)}
		}
		packed, u := pack(t, data, o)
		passed := 0
		for i := range packed {
			for bit := range 8 {
				bad := bytes.Clone(packed)
				bad[i] ^= 1 << bit
				got, err := unpack(bad, u)
				switch {
				case err == nil && (sealed || !bytes.Equal(got, data)):
					t.Fatalf("sealed=%v: bit %d of byte %d: not noticed", sealed, bit, i)
				case err == nil:
					passed++
				case !errors.Is(err, ErrCorrupt):
					t.Fatalf("sealed=%v: bit %d of byte %d: %v", sealed, bit, i, err)
				}
			}
		}
		t.Logf("sealed=%v: %d of %d bits mean nothing", sealed, passed, 8*len(packed))
	}
}

// A stream that was cut anywhere, between two frames included, never passes; nor does one with something behind it.
func TestEveryTruncationAndTrail(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		packed, u := packFrames(t, sealed, rows(2_000), noise(100), rows(500))
		if _, err := unpack(packed, u); err != nil {
			t.Fatalf("the whole stream: %v", err)
		}
		check := func(what string, bad []byte) {
			t.Helper()
			if _, err := unpack(bad, u); !errors.Is(err, ErrCorrupt) {
				t.Errorf("sealed=%v, %s: %v", sealed, what, err)
			}
		}
		last := len(packed)
		for n := range last {
			check(fmt.Sprintf("cut to %d of %d", n, last), packed[:n])
		}
		check("trailing zero", append(bytes.Clone(packed), 0))
		check("trailing text", append(bytes.Clone(packed), "garbage"...))
		check("doubled", append(bytes.Clone(packed), packed...))
		check("one stream before another", append(bytes.Clone(packed[:last/2]), packed...))
	}
}

// packFrames writes each part as a frame of its own, which a Writer does only with 4 MiB.
func packFrames(t *testing.T, sealed bool, parts ...[]byte) ([]byte, Unlocker) {
	t.Helper()
	o := Options{}
	if sealed {
		o.Recipients = []*Key{generated(t, "alice", nil)}
	}
	var b bytes.Buffer
	s, key, err := newSink(&b, o)
	if err != nil {
		t.Fatal(err)
	}
	compress, err := newCompressor(Default, 1)
	if err != nil {
		t.Fatal(err)
	}
	var table seekTable
	for _, p := range parts {
		f := compress(nil, p)
		table.add(len(f), len(p))
		if err := s.write(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.finish(table.appendTo(nil)); err != nil {
		t.Fatal(err)
	}
	if sealed {
		return b.Bytes(), key
	}
	return b.Bytes(), nil
}

// A plain stream that ends exactly between two frames, a state no checksum of zstd notices, is told by the table.
func TestFramesMissingOrMoved(t *testing.T) {
	var frames [][]byte
	compress, err := newCompressor(Default, 1)
	if err != nil {
		t.Fatal(err)
	}
	var table seekTable
	for i := range 3 {
		f := compress(nil, rows(1000+i))
		frames = append(frames, f)
		table.add(len(f), 1000+i)
	}
	end := table.appendTo(nil)
	if _, err := unpack(bytes.Join([][]byte{frames[0], frames[1], frames[2], end}, nil), nil); err != nil {
		t.Fatalf("the whole stream: %v", err)
	}
	for name, parts := range map[string][][]byte{
		"no table":       {frames[0], frames[1], frames[2]},
		"last missing":   {frames[0], frames[1], end},
		"first missing":  {frames[1], frames[2], end},
		"swapped":        {frames[1], frames[0], frames[2], end},
		"only the table": {end},
		"two tables":     {frames[0], frames[1], frames[2], end, end},
		"table first":    {end, frames[0], frames[1], frames[2]},
		"nothing":        {},
	} {
		if _, err := unpack(bytes.Join(parts, nil), nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Memory is never promised to a header: what a frame claims is bounded before anything is allocated for it.
func TestHostileFrames(t *testing.T) {
	magic := "\x28\xb5\x2f\xfd"
	for name, stream := range map[string]string{
		"huge frame":      magic + "\xe4\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x00\x00",
		"9 MiB frame":     magic + "\xa4\x00\x00\x90\x00\x01\x00\x00",
		"no size":         magic + "\x04\x58\x01\x00\x00",
		"no checksum":     magic + "\x20\x01\x09\x00\x00a",
		"large table":     "\x5e\x2a\x4d\x18\xff\xff\xff\xff",
		"other skippable": "\x50\x2a\x4d\x18\x09\x00\x00\x00123456789",
		"stock zstd": func() string {
			cmd := exec.Command("zstd", "-c")
			cmd.Stdin = strings.NewReader("some text")
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		}(),
		"blocks without end": magic + "\xa4\x00\x00\x40\x00" + strings.Repeat("\x00\x00\x00", 100_000),
		"block of 2 MiB":     magic + "\xa4\x00\x00\x40\x00" + "\xfc\xff\xff" + strings.Repeat("x", 2<<20),
	} {
		before := allocated()
		_, err := unpack([]byte(stream), nil)
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if grown := allocated() - before; grown > 16<<20 {
			t.Errorf("%s: %d bytes were allocated", name, grown)
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
