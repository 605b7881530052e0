package seal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os/exec"
	"testing"
)

// small is a frame size that lets tests have many frames and little to do.
const small = 64 << 10

// unpack reads a stream to its end.
func unpack(packed []byte, u Unlocker) ([]byte, error) {
	r, err := NewReader(context.Background(), bytes.NewReader(packed), u != nil, u)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// What was written comes back, whatever its size around the frame boundary, and so do its length and sum.
func TestRoundTrip(t *testing.T) {
	key := generated(t, "alice", nil)
	sizes := []int{0, 1, 255, small - 1, small, small + 1, 2 * small, 20*small + 17, frameSize + 1}
	for _, sealed := range []bool{false, true} {
		for _, size := range sizes {
			for name, content := range map[string]func(int) []byte{"rows": rows, "noise": noise} {
				t.Run(fmt.Sprintf("sealed=%v/%s/%d", sealed, name, size), func(t *testing.T) {
					t.Parallel()
					data := content(size)
					o := Options{Jobs: 3, Level: Fastest, frame: small}
					if size > frameSize {
						o.frame = 0
					}
					if sealed {
						o.Recipients = []*Key{key}
					}
					var b bytes.Buffer
					w, err := NewWriter(&b, o)
					if err != nil {
						t.Fatal(err)
					}
					// An odd size, so that writes do not fall on frame boundaries.
					if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{bytes.NewReader(data)}, make([]byte, 12_345)); err != nil {
						t.Fatal(err)
					}
					if err := w.Close(); err != nil {
						t.Fatal(err)
					}
					sum := sha256.Sum256(data)
					if w.RawBytes() != int64(size) || w.RawSHA256() != hex.EncodeToString(sum[:]) {
						t.Errorf("raw: %d bytes, %s", w.RawBytes(), w.RawSHA256())
					}
					var u Unlocker
					if sealed {
						u = w.SessionKey()
					}
					got, err := unpack(b.Bytes(), u)
					if err != nil || !bytes.Equal(got, data) {
						t.Errorf("read back %d of %d bytes, %v", len(got), size, err)
					}
				})
			}
		}
	}
}

// All levels and numbers of jobs give the same bytes back; an unknown level is an error.
func TestLevelsAndJobs(t *testing.T) {
	data := rows(frameSize + 5)
	for _, level := range []Level{Default, Fastest, Better} {
		for _, jobs := range []int{0, 1, 3} {
			packed, _ := pack(t, data, Options{Level: level, Jobs: jobs})
			if got, err := unpack(packed, nil); err != nil || !bytes.Equal(got, data) {
				t.Errorf("level %d, jobs %d: %v", level, jobs, err)
			}
		}
	}
	if _, err := NewWriter(io.Discard, Options{Level: 7}); err == nil {
		t.Error("an unknown level was taken")
	}
}

// Ordinary zstd reads what was written, tests its sums, and passes over the table.
func TestZstdReadsIt(t *testing.T) {
	for _, size := range []int{0, 1, 300, frameSize + 99} {
		data := rows(size)
		packed, _ := pack(t, data, Options{})
		for _, args := range [][]string{{"-dc"}, {"-t", "-"}} {
			cmd := exec.Command("zstd", args...)
			cmd.Stdin = bytes.NewReader(packed)
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("zstd %v, %d bytes: %v", args, size, err)
			}
			if args[0] == "-dc" && !bytes.Equal(out, data) {
				t.Errorf("zstd gives %d bytes instead of %d", len(out), size)
			}
		}
	}
}
