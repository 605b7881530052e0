package seal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"runtime"
	"testing"
	"testing/iotest"
)

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
