package seal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	// frameSize is what a Writer puts into one frame: small enough for a few to be in memory at once, large
	// enough that starting anew costs less than one percent of the ratio.
	frameSize = 4 << 20
	// maxFrame is what a Reader takes, so that a later version may write larger ones.
	maxFrame = 8 << 20
	// maxJobs bounds Options.Jobs; more would only cost memory.
	maxJobs = 64
)

func (o Options) jobs() int {
	if o.Jobs > 0 {
		return min(o.Jobs, maxJobs)
	}
	return min(runtime.GOMAXPROCS(0), 4) // no single source is faster than four
}

func (o Options) frameSize() int {
	if o.frame > 0 {
		return o.frame
	}
	return frameSize
}

func (o Options) now() time.Time {
	if o.Now != nil {
		return o.Now()
	}
	return time.Now()
}

// newCompressor returns a function that appends src as one frame to dst; jobs of them may run at once.
func newCompressor(level Level, jobs int) (func(dst, src []byte) []byte, error) {
	var l zstd.EncoderLevel
	switch level {
	case Default:
		l = zstd.SpeedDefault
	case Fastest:
		l = zstd.SpeedFastest
	case Better:
		l = zstd.SpeedBetterCompression
	default:
		return nil, fmt.Errorf("unknown compression level %d", level)
	}
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(l),
		zstd.WithEncoderConcurrency(jobs),
		zstd.WithWindowSize(frameSize),
		zstd.WithLowerEncoderMem(true), // a history of one frame is all there is
		zstd.WithEncoderCRC(true),
		zstd.WithSingleSegment(true)) // only then the size of a small frame is recorded too
	if err != nil {
		return nil, err
	}
	return func(dst, src []byte) []byte { return e.EncodeAll(src, dst) }, nil
}

// newDecompressor returns a function that appends what one frame holds to dst, and checks its sum.
func newDecompressor(jobs int) (decompress func(dst, src []byte) ([]byte, error), closer func(), err error) {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(jobs),
		zstd.WithDecoderMaxMemory(maxFrame),
		zstd.WithDecoderMaxWindow(maxFrame))
	if err != nil {
		return nil, nil, err
	}
	return func(dst, src []byte) ([]byte, error) { return d.DecodeAll(src, dst) }, d.Close, nil
}

var errTruncated = errors.New("truncated")

// readHeader looks at the next frame without taking it.
func readHeader(r *bufio.Reader) (zstd.Header, error) {
	var h zstd.Header
	head, err := r.Peek(zstd.HeaderMaxSize)
	if err != nil && err != io.EOF {
		return h, err
	}
	if len(head) == 0 {
		return h, errTruncated // a stream ends with its table, never between two frames
	}
	switch err := h.Decode(head); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return h, errTruncated
	case err != nil:
		return h, fmt.Errorf("frame header: %w", err)
	}
	return h, nil
}

// readFrame appends the next frame to dst, unchanged. Only frames such as a Writer makes pass, which bounds what they
// may need later.
func readFrame(r *bufio.Reader, h zstd.Header, dst []byte) ([]byte, error) {
	switch {
	case !h.HasFCS || !h.HasCheckSum || h.DictionaryID != 0:
		return dst, errors.New("frame without size or checksum, or with a dictionary")
	case h.FrameContentSize == 0 || h.FrameContentSize > maxFrame:
		return dst, fmt.Errorf("frame of %d bytes", h.FrameContentSize)
	}
	// What does not compress costs three bytes a block more than it is.
	limit := len(dst) + int(h.FrameContentSize+h.FrameContentSize>>7) + 512
	dst, err := take(r, dst, h.HeaderSize)
	for last := false; err == nil && !last; {
		if dst, err = take(r, dst, 3); err != nil {
			break
		}
		b := dst[len(dst)-3:]
		head := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		last = head&1 != 0
		size := int(head >> 3)
		if head>>1&3 == 1 { // one byte, repeated
			size = 1
		}
		if len(dst)+size > limit {
			return dst, errors.New("frame larger than its contents")
		}
		dst, err = take(r, dst, size)
	}
	if err == nil {
		dst, err = take(r, dst, 4) // the checksum
	}
	return dst, err
}

// take moves n bytes from r to the end of dst.
func take(r *bufio.Reader, dst []byte, n int) ([]byte, error) {
	old := len(dst)
	if cap(dst)-old < n {
		dst = append(dst, make([]byte, n)...)
	}
	dst = dst[:old+n]
	if _, err := io.ReadFull(r, dst[old:]); err != nil {
		return dst[:old], untilEnd(err)
	}
	return dst, nil
}

// untilEnd names an end that came too early.
func untilEnd(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errTruncated
	}
	return err
}
