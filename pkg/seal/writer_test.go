package seal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"runtime"
	"testing"
	"time"
)

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
			for range 20 {
				if _, err := w.Write(nil); !errors.Is(err, full) {
					t.Fatalf("empty Write: %v", err)
				}
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

// An error that came meanwhile is told at once, though the current frame has room.
func TestWriterErrorWithRoom(t *testing.T) {
	full := errors.New("no space left on device")
	w, err := NewWriter(&failing{err: full}, Options{Level: Fastest, frame: 2 * pieceSize})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(5*pieceSize + 1)); err != nil && !errors.Is(err, full) {
		t.Fatal(err)
	}
	<-w.cancel.done
	for range 20 {
		if n, err := w.Write([]byte("x")); n != 0 || !errors.Is(err, full) {
			t.Fatalf("%d, %v", n, err)
		}
	}
	w.Abort()
	if err := w.Close(); !errors.Is(err, full) {
		t.Errorf("Close after Abort: %v", err)
	}
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
	if _, err := w.SessionKey().Unlock(context.Background(), nil); !errors.Is(err, ErrWiped) {
		t.Errorf("session key: %v", err)
	}
	if err := w.Close(); !errors.Is(err, ErrAborted) {
		t.Errorf("Close: %v", err)
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
