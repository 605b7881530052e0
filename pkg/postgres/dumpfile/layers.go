package dumpfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/bmad-forge/forgectl/pkg/seal"
)

// maxLayers: compressed, then encrypted. More than that nobody does, but a bomb.
const maxLayers = 2

// maxWindow is what a zstd stream may ask for in memory: as much as `zstd -d` allows without being told.
const maxWindow = 128 << 20

// sniffed is how much of a stream is looked at to recognise it: more than a tar header.
const sniffed = 4096

// stack is a stream with its layers taken off.
type stack struct {
	ctx    context.Context
	f      *File
	names  []string
	format Format

	raw     *rawReader
	readers []*bufio.Reader // the raw one first
	closers []func()
	err     error // sticky
}

// rawReader remembers an error of the file itself, so that a broken disk is not called damage of the dump.
type rawReader struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (r *rawReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.ctx.Err() != nil {
		r.err = context.Cause(r.ctx)
		return 0, r.err
	}
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// peel takes off the layers. Expected, if not nil, is what they were the last time.
func (f *File) peel(ctx context.Context, expected []string) (*stack, error) {
	s := &stack{ctx: ctx, f: f}
	s.raw = &rawReader{ctx: ctx, r: io.NewSectionReader(f.file, 0, f.info.Size())}
	s.readers = []*bufio.Reader{bufio.NewReaderSize(s.raw, scanBuffer)}
	err := s.peel()
	if err == nil && expected != nil && !slices.Equal(expected, s.names) {
		err = ErrChanged
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *stack) top() *bufio.Reader { return s.readers[len(s.readers)-1] }

func (s *stack) peel() error {
	for {
		head, err := s.top().Peek(sniffed)
		if err != nil && err != io.EOF {
			return s.judge(err)
		}
		name := layer(head)
		if name == "" {
			s.format, err = recognise(head)
			return err
		}
		if len(s.names) == maxLayers {
			return fmt.Errorf("%w: more than %d layers (%s)", ErrNotDump, maxLayers, name)
		}
		if err := s.take(name); err != nil {
			return err
		}
		s.names = append(s.names, name)
	}
}

func (s *stack) take(name string) error {
	var inner io.Reader
	switch name {
	case "gpg":
		var u seal.Unlocker
		if s.f.unlock.asks != nil {
			u = s.f.unlock
		}
		m, err := seal.OpenMessage(s.ctx, s.top(), u)
		if err != nil {
			return s.judge(err)
		}
		s.closers = append(s.closers, func() { _ = m.Close() })
		inner = m
	case "gzip":
		z, err := gzip.NewReader(s.top())
		if err != nil {
			return s.judge(err)
		}
		s.closers = append(s.closers, func() { _ = z.Close() })
		inner = z
	case "zstd":
		z, err := zstd.NewReader(s.top(), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return s.judge(err)
		}
		s.closers = append(s.closers, z.Close)
		inner = z
	default:
		return fmt.Errorf("%w: it is packed by %s: unpack it first with %s", ErrUnsupported, name, unpackers[name])
	}
	s.readers = append(s.readers, bufio.NewReaderSize(&sticky{r: inner}, scanBuffer))
	return nil
}

// sticky gives the same error again: a look ahead must not swallow it.
type sticky struct {
	r   io.Reader
	err error
}

func (r *sticky) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	var n int
	n, r.err = r.r.Read(p)
	return n, r.err
}

// Read implements io.Reader.
func (s *stack) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.ctx.Err() != nil {
		s.err = context.Cause(s.ctx)
		return 0, s.err
	}
	n, err := s.top().Read(p)
	if err == io.EOF {
		if err = s.ended(); err == nil {
			s.err = io.EOF
			return n, io.EOF
		}
	}
	if err != nil {
		s.err = s.judge(err)
	}
	return n, s.err
}

// ended proves that the layers below have nothing left either.
func (s *stack) ended() error {
	for i := len(s.readers) - 2; i >= 0; i-- {
		switch _, err := s.readers[i].ReadByte(); {
		case err == nil:
			return errors.New("data after the end of " + s.names[i])
		case err != io.EOF:
			return err
		}
	}
	return s.f.unchanged()
}

// judge tells damage from everything else that can go wrong.
func (s *stack) judge(err error) error {
	if s.raw.err != nil {
		return s.raw.err
	}
	for _, is := range []error{ErrChanged, seal.ErrNoSecretKey, seal.ErrPassphrase, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, is) {
			return err
		}
	}
	switch {
	case errors.Is(err, seal.ErrForeign):
		return fmt.Errorf("%w: %w; gpg --decrypt may open it", ErrUnsupported, err)
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrUnknownDictionary):
		return fmt.Errorf("%w: %w: unpack it first with zstd -d", ErrUnsupported, err)
	case errors.Is(err, seal.ErrCorrupt), len(s.names) > 0, len(s.readers) > 1, errors.Is(err, gzip.ErrHeader):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %w", ErrDamaged, io.ErrUnexpectedEOF)
	}
	return err
}

// Close implements io.Closer. What a layer has to say of its half-read stream is no news.
func (s *stack) Close() error {
	for _, c := range slices.Backward(s.closers) {
		c()
	}
	s.closers = nil
	if s.err == nil {
		s.err = fs.ErrClosed
	}
	return nil
}

// unpackers are the programs for what we do not unpack.
var unpackers = map[string]string{
	"bzip2": "bzip2 -d", "xz": "xz -d", "lz4": "lz4 -d", "compress": "gzip -d", "lzip": "lzip -d", "zip": "unzip", "7z": "7z x", "rar": "unrar x",
}

var magics = []struct{ name, magic string }{
	{"gzip", "\x1f\x8b"},
	{"zstd", "\x28\xb5\x2f\xfd"},
	{"bzip2", "BZh"},
	{"xz", "\xfd7zXZ\x00"},
	{"lz4", "\x04\x22\x4d\x18"},
	{"compress", "\x1f\x9d"},
	{"lzip", "LZIP"},
	{"zip", "PK\x03\x04"},
	{"7z", "7z\xbc\xaf\x27\x1c"},
	{"rar", "Rar!\x1a\x07"},
}

// layer names what packs or encrypts what begins with head; "" when nothing does.
func layer(head []byte) string {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.name
		}
	}
	if len(head) >= 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18" { // a skippable frame
		return "zstd"
	}
	if bytes.HasPrefix(head, []byte("-----BEGIN PGP MESSAGE-----")) {
		return "gpg"
	}
	if len(head) > 0 && head[0]&0x80 != 0 {
		tag := head[0] >> 2 & 0x0f
		if head[0]&0x40 != 0 {
			tag = head[0] & 0x3f
		}
		// Session keys, encrypted data, signed or compressed data.
		if slices.Contains([]byte{1, 3, 4, 8, 9, 18, 20}, tag) && !bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
			return "gpg"
		}
	}
	return ""
}
