package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync"
)

// Writer compresses and encrypts what is written to it.
//
// The caller fills a frame; jobs goroutines compress frames, one more sums the raw bytes, and the last one takes the frames
// in their order, encrypts and writes them. Frames are recycled, so that their number bounds the memory.
type Writer struct {
	sink   *sink
	key    *SessionKey
	cancel *canceler

	free  chan *outFrame // may be filled
	work  chan *outFrame // to be compressed
	sums  chan *outFrame // to be hashed
	order chan *outFrame // to be written, in order
	wg    sync.WaitGroup

	size    int       // of a full frame
	current *outFrame // being filled; nil: none
	raw     int64
	sum     hash.Hash

	closed   bool
	closeErr error
}

// outFrame is one frame on its way. The channels hold one signal each, so nobody waits to give one.
type outFrame struct {
	raw, packed        []byte
	compressed, hashed chan struct{}
}

// NewWriter starts a stream on w. Recipients are checked before anything is written to w: the error then is a
// *KeyError, and w is untouched.
func NewWriter(w io.Writer, o Options) (*Writer, error) {
	jobs := o.jobs()
	compress, err := newCompressor(o.Level, jobs)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	s, key, err := newSink(w, o)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	frames := jobs + 2 // one being filled, one being written
	sw := &Writer{
		sink: s, key: key, cancel: newCanceler(), size: o.frameSize(), sum: sha256.New(),
		free: make(chan *outFrame, frames), work: make(chan *outFrame, frames),
		sums: make(chan *outFrame, frames), order: make(chan *outFrame, frames),
	}
	for range frames {
		sw.free <- &outFrame{compressed: make(chan struct{}, 1), hashed: make(chan struct{}, 1)}
	}
	for range jobs {
		sw.wg.Go(func() {
			sw.each(sw.work, func(f *outFrame) {
				f.packed = compress(f.packed[:0], f.raw)
				f.compressed <- struct{}{}
			})
		})
	}
	sw.wg.Go(func() {
		sw.each(sw.sums, func(f *outFrame) {
			sw.sum.Write(f.raw)
			f.hashed <- struct{}{}
		})
	})
	sw.wg.Go(sw.write)
	return sw, nil
}

// each runs do on what comes from ch until it is closed or the Writer is cancelled.
func (w *Writer) each(ch <-chan *outFrame, do func(*outFrame)) {
	for {
		select {
		case <-w.cancel.done:
			return
		case f, ok := <-ch:
			if !ok {
				return
			}
			do(f)
		}
	}
}

// write is the goroutine that puts the frames out, in order, and then the end.
func (w *Writer) write() {
	var table seekTable
	for {
		select {
		case <-w.cancel.done:
			return
		case f, ok := <-w.order:
			if !ok {
				if err := w.sink.finish(table.appendTo(nil)); err != nil {
					w.cancel.because(err)
				}
				return
			}
			if !w.wait(f.compressed) || !w.wait(f.hashed) {
				return
			}
			table.add(len(f.packed), len(f.raw))
			if err := w.sink.write(f.packed); err != nil {
				w.cancel.because(err)
				return
			}
			w.free <- f
		}
	}
}

func (w *Writer) wait(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	case <-w.cancel.done:
		return false
	}
}

// Write implements io.Writer. It returns before the bytes have reached the underlying writer.
func (w *Writer) Write(p []byte) (int, error) {
	n := 0
	for {
		room, err := w.room()
		if err != nil {
			return n, err
		}
		if n == len(p) {
			return n, nil
		}
		m := copy(room, p[n:])
		w.filled(m)
		n += m
	}
}

// ReadFrom implements io.ReaderFrom: io.Copy reads straight into the frames.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	var n int64
	for {
		room, err := w.room()
		if err != nil {
			return n, err
		}
		m, err := r.Read(room)
		n += int64(m)
		w.filled(m)
		if err == io.EOF { // a wrapped one is not the end
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// room is the free part of the current frame, never empty; it waits for a frame when there is none.
func (w *Writer) room() ([]byte, error) {
	if w.closed {
		return nil, fmt.Errorf("seal: %w", fs.ErrClosed)
	}
	if err := w.cancel.err(); err != nil {
		return nil, err
	}
	if w.current == nil {
		select {
		case <-w.cancel.done:
			return nil, w.cancel.err()
		case w.current = <-w.free:
		}
		if w.current.raw == nil {
			w.current.raw = make([]byte, 0, w.size)
		}
		w.current.raw = w.current.raw[:0]
	}
	return w.current.raw[len(w.current.raw):cap(w.current.raw)], nil
}

// filled notes that n bytes were put into the room, and sends the frame off when it is full.
func (w *Writer) filled(n int) {
	w.raw += int64(n)
	w.current.raw = w.current.raw[:len(w.current.raw)+n]
	if len(w.current.raw) == cap(w.current.raw) {
		w.dispatch()
	}
}

// dispatch never waits: each channel has room for all frames.
func (w *Writer) dispatch() {
	f := w.current
	w.current = nil
	w.work <- f
	w.sums <- f
	w.order <- f
}

// Close writes the end of the stream and waits for everything. After an error the stream is not whole, and the session
// key is wiped. Calling it again gives the same answer.
func (w *Writer) Close() error {
	if w.closed {
		return w.closeErr
	}
	if w.current != nil && len(w.current.raw) > 0 {
		w.dispatch()
	}
	w.closed = true
	close(w.work)
	close(w.sums)
	close(w.order)
	w.wg.Wait()
	if w.closeErr = w.cancel.finish(); w.closeErr != nil {
		w.key.Wipe()
	}
	return w.closeErr
}

// Abort ends the Writer without an end of the stream and wipes the session key; after Close it does nothing. It may be
// called from any goroutine, also while Write runs, which then returns ErrAborted. It returns when the last
// call of the underlying writer has returned.
func (w *Writer) Abort() {
	if !w.cancel.because(ErrAborted) {
		return
	}
	w.wg.Wait()
	w.key.Wipe()
}

// RawBytes is how many bytes were written; 0 before a successful Close.
func (w *Writer) RawBytes() int64 {
	if !w.whole() {
		return 0
	}
	return w.raw
}

// RawSHA256 is the sum of what was written, in hexadecimal; empty before a successful Close.
func (w *Writer) RawSHA256() string {
	if !w.whole() {
		return ""
	}
	return hex.EncodeToString(w.sum.Sum(nil))
}

func (w *Writer) whole() bool { return w.closed && w.closeErr == nil }

// SessionKey opens what this Writer wrote; nil when it does not encrypt. Who has read it back wipes it.
func (w *Writer) SessionKey() *SessionKey { return w.key }
