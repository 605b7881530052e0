package seal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"sync"
)

// reader is the mirror of Writer: one goroutine decrypts and cuts the stream into frames, others decompress them, and
// Read hands them out in their order.
type reader struct {
	ctx    context.Context
	src    *source
	msg    *message // nil: plain
	cancel *canceler

	free  chan *inFrame
	work  chan *inFrame
	order chan *inFrame
	end   error // why the splitter stopped; set before order is closed
	wg    sync.WaitGroup
	close sync.Once
	stop  func() // releases the decompressor

	current *inFrame
	rest    []byte // of current, not yet read
	err     error  // sticky
}

type inFrame struct {
	packed, raw []byte
	size        int // of raw, as the header says
	err         error
	done        chan struct{}
}

// NewReader reads what a Writer wrote. When sealed it reads the head and asks u for the session key before it returns, so
// that a missing key is found out here.
//
// Close must be called. It ends the reader at any place and waits for a Read of r in flight, but does not close r.
// ErrCorrupt, an error of r and the end of ctx are told apart by errors.Is.
func NewReader(ctx context.Context, r io.Reader, sealed bool, u Unlocker) (io.ReadCloser, error) {
	src := &source{ctx: ctx, r: r}
	in := bufio.NewReaderSize(src, 2*pieceSize)
	sr := &reader{ctx: ctx, src: src, cancel: newCanceler()}
	if sealed {
		msg, err := unseal(ctx, src, in, u)
		if err != nil {
			return nil, fmt.Errorf("unseal: %w", err)
		}
		sr.msg = msg
		in = bufio.NewReaderSize(msg.body, 2*pieceSize)
	}
	jobs := min(runtime.GOMAXPROCS(0), 4)
	decompress, stop, err := newDecompressor(jobs)
	if err != nil {
		return nil, fmt.Errorf("unseal: %w", err)
	}
	sr.stop = stop
	sr.start(in, jobs, decompress)
	return sr, nil
}

// unseal finds the session key and opens the message.
func unseal(ctx context.Context, src *source, in *bufio.Reader, u Unlocker) (*message, error) {
	pkesk, err := readHead(in)
	if err != nil {
		return nil, src.judge(err)
	}
	if u == nil {
		return nil, &NoSecretKeyError{KeyIDs: keyIDs(pkesk)}
	}
	key, err := u.Unlock(ctx, pkesk)
	if err != nil {
		return nil, err
	}
	msg, err := openMessage(in, key)
	if errors.Is(err, ErrWiped) {
		return nil, err
	}
	if err != nil {
		return nil, src.judge(err)
	}
	return msg, nil
}

func (r *reader) start(in *bufio.Reader, jobs int, decompress func(dst, src []byte) ([]byte, error)) {
	frames := jobs + 2 // one being cut, one being read
	r.free = make(chan *inFrame, frames)
	r.work = make(chan *inFrame, frames)
	r.order = make(chan *inFrame, frames)
	for range frames {
		r.free <- &inFrame{done: make(chan struct{}, 1)}
	}
	for range jobs {
		r.wg.Go(func() {
			for f := range r.work {
				f.unpack(decompress)
			}
		})
	}
	r.wg.Go(func() {
		defer close(r.order)
		defer close(r.work)
		r.end = r.split(in)
	})
}

func (f *inFrame) unpack(decompress func(dst, src []byte) ([]byte, error)) {
	if cap(f.raw) < f.size {
		f.raw = make([]byte, 0, f.size)
	}
	f.raw, f.err = decompress(f.raw[:0], f.packed)
	if f.err == nil && len(f.raw) != f.size {
		f.err = errors.New("frame is not as long as it says")
	}
	f.done <- struct{}{}
}

// split cuts the stream into frames until its proven end, which is nil.
func (r *reader) split(in *bufio.Reader) error {
	table := newTableCheck()
	for {
		h, err := readHeader(in)
		if err != nil {
			return r.src.judge(err)
		}
		if h.Skippable {
			if err := table.read(in, h); err != nil {
				return r.src.judge(err)
			}
			return r.finish(in)
		}
		var f *inFrame
		select {
		case <-r.cancel.done:
			return r.cancel.err()
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		case f = <-r.free:
		}
		if f.packed, err = readFrame(in, h, f.packed[:0]); err != nil {
			return r.src.judge(err)
		}
		f.size = int(h.FrameContentSize)
		table.add(len(f.packed), f.size)
		r.work <- f // there is room for all frames
		r.order <- f
	}
}

func (r *reader) finish(in *bufio.Reader) error {
	if err := expectEnd(in, "last frame"); err != nil {
		return r.src.judge(err)
	}
	if r.msg != nil {
		if err := r.msg.finish(); err != nil {
			return r.src.judge(err)
		}
	}
	return nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo: whole frames, without a copy.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	var n int64
	for {
		if err := r.fill(); err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
		m, err := w.Write(r.rest)
		n += int64(m)
		r.rest = r.rest[m:]
		if err != nil {
			return n, err
		}
		if len(r.rest) > 0 {
			return n, io.ErrShortWrite
		}
	}
}

// fill makes sure that there is something to hand out, or says why not.
func (r *reader) fill() error {
	for r.err == nil && len(r.rest) == 0 {
		r.err = r.next()
	}
	return r.err
}

func (r *reader) next() error {
	if r.current != nil {
		r.free <- r.current // there is room for all frames
		r.current = nil
	}
	var f *inFrame
	var ok bool
	select {
	case <-r.cancel.done:
		return r.cancel.err()
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	case f, ok = <-r.order:
	}
	if !ok {
		if r.end == nil {
			return io.EOF
		}
		return r.end
	}
	<-f.done // soon: the decompressors never wait
	if f.err != nil {
		err := fmt.Errorf("%w: %w", ErrCorrupt, f.err)
		r.cancel.because(err)
		return err
	}
	r.current, r.rest = f, f.raw
	return nil
}

// Close implements io.Closer. Closing before the end is no error; Read returns fs.ErrClosed from then on.
func (r *reader) Close() error {
	r.close.Do(func() {
		r.cancel.because(fmt.Errorf("unseal: %w", fs.ErrClosed))
		r.wg.Wait()
		r.stop()
	})
	return nil
}

// source remembers the first error of the underlying reader, so that a broken connection is never called corruption.
type source struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.ctx.Err() != nil {
		s.err = context.Cause(s.ctx)
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// judge says what an error means: that of the underlying reader if it had one, else corruption.
func (s *source) judge(err error) error {
	if s.err != nil {
		return s.err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}
