package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// A flipped bit never passes. In the frames of a plain stream a few bits mean nothing to zstd; then the data must be the
// same.
func TestEveryFlippedBit(t *testing.T) {
	data := rows(1_500)
	for _, sealed := range []bool{false, true} {
		o := Options{}
		if sealed {
			o.Recipients = []*Key{generated(t, "alice", nil)}
		}
		packed, u := pack(t, data, o)
		const tableSize = tableHeader + tableEntry + tableFooter
		passed := 0
		for i := range packed {
			for bit := range 8 {
				bad := bytes.Clone(packed)
				bad[i] ^= 1 << bit
				got, err := unpack(bad, u)
				switch {
				case err == nil && (sealed || !bytes.Equal(got, data) || i >= len(packed)-tableSize):
					t.Fatalf("sealed=%v: bit %d of byte %d: not noticed", sealed, bit, i)
				case err == nil:
					passed++
				case !isCorrupt(err):
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
			if _, err := unpack(bad, u); !isCorrupt(err) {
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

// isCorrupt also refuses an error that a caller may take for the end.
func isCorrupt(err error) bool { return errors.Is(err, ErrCorrupt) && !errors.Is(err, io.EOF) }

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
		if _, err := unpack(bytes.Join(parts, nil), nil); !isCorrupt(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Memory is never promised to a header: what a frame claims is bounded before anything is allocated for it. Each stream
// would be whole otherwise, with a table that fits.
func TestHostileFrames(t *testing.T) {
	const magic = "\x28\xb5\x2f\xfd"
	stream := func(raw int, frame string) string {
		var table seekTable
		table.add(len(frame), raw)
		return string(table.appendTo([]byte(frame)))
	}
	stock := exec.Command("zstd", "-c", "--no-check")
	stock.Stdin = strings.NewReader("some text")
	ordinary, err := stock.Output()
	if err != nil {
		t.Fatal(err)
	}
	const lastEmpty, sum = "\x01\x00\x00", "\x00\x00\x00\x00"
	for name, bad := range map[string]string{
		"huge frame":         stream(0, magic+"\xe4\xff\xff\xff\xff\xff\xff\xff\x7f"+lastEmpty+sum),
		"64 GiB frame":       stream(0, magic+"\xe4\x00\x00\x00\x00\x10\x00\x00\x00"+lastEmpty+sum),
		"9 MiB frame":        stream(9<<20, magic+"\xa4\x00\x00\x90\x00"+lastEmpty+sum),
		"frame of nothing":   stream(0, magic+"\x24\x00"+lastEmpty+"\x99\xe9\xd8\x51"),
		"no size":            stream(0, magic+"\x04\x58"+lastEmpty+sum),
		"no checksum":        stream(1, magic+"\x20\x01\x09\x00\x00a"),
		"less than it says":  stream(2, magic+"\x24\x02\x09\x00\x00a"+sum),
		"stock zstd":         stream(9, string(ordinary)),
		"large table":        "\x5e\x2a\x4d\x18\xff\xff\xff\xff",
		"other skippable":    "\x50\x2a\x4d\x18" + strings.TrimPrefix(string((&seekTable{}).appendTo(nil)), "\x5e\x2a\x4d\x18"),
		"blocks without end": magic + "\xa4\x00\x00\x40\x00" + strings.Repeat("\x00\x00\x00", 20_000_000),
		"block of 2 MiB":     stream(10, magic+"\x24\x0a"+"\xfd\xff\xff"+strings.Repeat("x", 2<<20)+sum),
	} {
		packed := []byte(bad)
		before := allocated()
		_, err := unpack(packed, nil)
		grown := allocated() - before
		if !isCorrupt(err) {
			t.Errorf("%s: %v", name, err)
		}
		if grown > 48<<20 { // growing a frame of 8 MiB step by step
			t.Errorf("%s: %d bytes were allocated", name, grown)
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// Inside the encryption nothing may stand beside the literal packet, though the integrity code covers it.
func TestPacketsInside(t *testing.T) {
	plain, _ := pack(t, rows(1000), Options{})
	for name, tt := range map[string]struct {
		before, after string
		whole         bool
	}{
		"as written":     {"", "", true},
		"packet before":  {"\xcd\x05alice", "", false},
		"packet behind":  {"", "\xcd\x05alice", false},
		"byte behind":    {"", "\x00", false},
		"literal behind": {"", "\xcb\x07b\x00\x00\x00\x00\x00x", false},
	} {
		key, err := generateSessionKey()
		if err != nil {
			t.Fatal(err)
		}
		b := bytes.NewBufferString("\xc1\x0c\x03\x01\x02\x03\x04\x05\x06\x07\x08\x01\x00\x00") // packet for nobody
		encrypted, err := packet.SerializeSymmetricallyEncrypted(b, key.cipher, false, packet.CipherSuite{}, key.key, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := packet.SerializeLiteral(keepOpen{encrypted}, true, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err0 := io.WriteString(encrypted, tt.before)
		_, err1 := body.Write(plain)
		err2 := body.Close()
		_, err3 := io.WriteString(encrypted, tt.after)
		if err := errors.Join(err0, err1, err2, err3, encrypted.Close()); err != nil {
			t.Fatal(err)
		}
		_, err = unpack(b.Bytes(), key)
		if tt.whole && err != nil || !tt.whole && !isCorrupt(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }
