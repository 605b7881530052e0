package seal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
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
			for name, make := range map[string]func(int) []byte{"rows": rows, "noise": noise} {
				t.Run(fmt.Sprintf("sealed=%v/%s/%d", sealed, name, size), func(t *testing.T) {
					t.Parallel()
					data := make(size)
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
					if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{bytes.NewReader(data)}, make2(12_345)); err != nil {
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

func make2(n int) []byte { return make([]byte, n) }

// Reads of every size see the same bytes, and the end only once.
func TestReaderReads(t *testing.T) {
	data := rows(9_000)
	packed, _ := pack(t, data, Options{})
	r, err := NewReader(context.Background(), iotest.OneByteReader(bytes.NewReader(packed)), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := iotest.TestReader(r, data); err != nil {
		t.Error(err)
	}
	r, _ = NewReader(context.Background(), bytes.NewReader(packed), false, nil)
	defer r.Close()
	var b bytes.Buffer
	if n, err := r.(io.WriterTo).WriteTo(&b); n != int64(len(data)) || err != nil || !bytes.Equal(b.Bytes(), data) {
		t.Errorf("WriteTo: %d, %v", n, err)
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

// An error of the underlying reader comes back as it is: a broken connection is not corruption.
func TestReaderError(t *testing.T) {
	broken := errors.New("connection reset")
	for _, sealed := range []bool{false, true} {
		packed, u := packFrames(t, sealed, rows(2_000), noise(100), rows(500))
		for n := range len(packed) + 1 {
			src := io.MultiReader(bytes.NewReader(packed[:n]), iotest.ErrReader(broken))
			r, err := NewReader(context.Background(), src, sealed, u)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
				r.Close()
			}
			if !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
				t.Errorf("sealed=%v after %d bytes: %v", sealed, n, err)
			}
		}
	}
}

// The end of the context is the error, and ends everything.
func TestReaderContext(t *testing.T) {
	packed, _ := pack(t, noise(20*small), Options{Level: Fastest, frame: small})
	why := errors.New("told to stop")
	ctx, cancel := context.WithCancelCause(context.Background())
	r, err := NewReader(ctx, bytes.NewReader(packed), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel(why)
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, why) || errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
	r.Close()
	if _, err := NewReader(ctx, bytes.NewReader(packed), true, Chain()); !errors.Is(err, why) {
		t.Errorf("new reader: %v", err)
	}
}

// Closing early leaves nothing running, and is final.
func TestReaderClose(t *testing.T) {
	packed, _ := pack(t, noise(20*small), Options{Level: Fastest, frame: small})
	before := runtime.NumGoroutine()
	for _, n := range []int{0, 1, 3 * small} {
		r, err := NewReader(context.Background(), bytes.NewReader(packed), false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.Close(), r.Close()); err != nil {
			t.Error(err)
		}
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	settled(t, before)
}

// settled waits until no more goroutines are there than before; those that have been waited for may still be on their
// last instruction.
func settled(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines instead of %d\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// failing takes n bytes, then fails, and counts the calls after that.
type failing struct {
	n     int
	err   error
	after int
}

func (f *failing) Write(p []byte) (int, error) {
	if f.n < len(p) {
		f.after++
		return 0, f.err
	}
	f.n -= len(p)
	return len(p), nil
}

// An error of the underlying writer is what every later Write and Close return; nothing is written after it; nothing
// stays running.
func TestWriterError(t *testing.T) {
	full := errors.New("no space left on device")
	data := noise(small)
	before := runtime.NumGoroutine()
	key := generated(t, "alice", nil)
	for _, sealed := range []bool{false, true} {
		for _, n := range []int{0, 5 * small} {
			o := Options{Level: Fastest, frame: small}
			if sealed {
				o.Recipients = []*Key{key}
			}
			dst := &failing{n: n, err: full}
			w, err := NewWriter(dst, o)
			if err != nil {
				t.Fatal(err)
			}
			for range 100 {
				if _, err = w.Write(data); err != nil {
					break
				}
			}
			if !errors.Is(err, full) {
				t.Fatalf("100 frames were taken: %v", err)
			}
			if _, err := w.Write(nil); !errors.Is(err, full) {
				t.Errorf("empty Write: %v", err)
			}
			if _, err := w.ReadFrom(bytes.NewReader(data)); !errors.Is(err, full) {
				t.Errorf("ReadFrom: %v", err)
			}
			for range 2 {
				if err := w.Close(); !errors.Is(err, full) {
					t.Errorf("Close: %v", err)
				}
			}
			if w.RawBytes() != 0 || w.RawSHA256() != "" {
				t.Error("a failed writer tells a sum")
			}
			if sealed {
				if _, err := w.SessionKey().Unlock(context.Background(), nil); !errors.Is(err, ErrWiped) {
					t.Errorf("session key of a failed message: %v", err)
				}
			}
			if dst.after != 1 {
				t.Errorf("%d writes failed, want 1", dst.after)
			}
		}
	}
	settled(t, before)
}

// An error that comes only with the last bytes is the error of Close.
func TestCloseError(t *testing.T) {
	full := errors.New("no space left on device")
	w, err := NewWriter(&failing{n: 10, err: full}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("small")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); !errors.Is(err, full) {
		t.Errorf("Close: %v", err)
	}
	if _, err := w.Write(nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
}

// blocking holds every Write until it is released.
type blocking struct{ entered, release chan struct{} }

func (b *blocking) Write(p []byte) (int, error) {
	b.entered <- struct{}{}
	<-b.release
	return len(p), nil
}

// Abort ends a Write that waits, in another goroutine, waits for the underlying writer, and leaves nothing running.
func TestAbort(t *testing.T) {
	before := runtime.NumGoroutine()
	dst := &blocking{make(chan struct{}, 100), make(chan struct{})}
	w, err := NewWriter(dst, Options{Level: Fastest, frame: small, Recipients: []*Key{generated(t, "alice", nil)}})
	if err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error)
	go func() {
		_, err := io.Copy(w, endless{})
		wrote <- err
	}()
	<-dst.entered
	aborted := make(chan struct{})
	go func() {
		w.Abort()
		close(aborted)
	}()
	if err := <-wrote; !errors.Is(err, ErrAborted) {
		t.Errorf("Write: %v", err)
	}
	select {
	case <-aborted:
		t.Error("Abort did not wait for the underlying writer")
	default:
	}
	close(dst.release)
	<-aborted
	w.Abort()
	if err := w.Close(); !errors.Is(err, ErrAborted) {
		t.Errorf("Close: %v", err)
	}
	if _, err := w.SessionKey().Unlock(context.Background(), nil); !errors.Is(err, ErrWiped) {
		t.Errorf("session key: %v", err)
	}
	settled(t, before)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// After a good Close, Abort changes nothing, so that it can be deferred.
func TestAbortAfterClose(t *testing.T) {
	var b bytes.Buffer
	w, err := NewWriter(&b, Options{Recipients: []*Key{generated(t, "alice", nil)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, err := unpack(b.Bytes(), w.SessionKey()); err != nil {
		t.Error(err)
	}
}

// The memory of a Writer and a Reader does not depend on the length of the stream.
func TestBoundedMemory(t *testing.T) {
	const length = 256 << 20
	pr, pw := io.Pipe()
	w, err := NewWriter(pw, Options{Level: Fastest, Jobs: 2, Recipients: []*Key{generated(t, "alice", nil)}})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := io.Copy(w, io.LimitReader(endless{}, length))
		pw.CloseWithError(errors.Join(err, w.Close()))
	}()
	r, err := NewReader(context.Background(), pr, true, unlockerFunc(func(context.Context, []byte) (*SessionKey, error) { return w.SessionKey(), nil }))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var highest uint64
	buf := make([]byte, frameSize)
	total := 0
	for {
		n, err := r.Read(buf)
		total += n
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var m runtime.MemStats
		if runtime.ReadMemStats(&m); m.HeapInuse > highest {
			highest = m.HeapInuse
		}
	}
	if total != length || highest > 200<<20 {
		t.Errorf("%d bytes, at most %d MiB in use", total, highest>>20)
	}
	t.Logf("at most %d MiB in use", highest>>20)
}

type unlockerFunc func(context.Context, []byte) (*SessionKey, error)

func (f unlockerFunc) Unlock(ctx context.Context, pkesk []byte) (*SessionKey, error) {
	return f(ctx, pkesk)
}
