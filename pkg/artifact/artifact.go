// Package artifact writes the files of a backup set and reads them again: what
// comes out is what went in, byte for byte, or an error.
//
// Write streams plain bytes through zstd and, when there are recipients,
// OpenPGP into a draft, hashing both sides. Written.ReadBack then proves what
// is on the store, with the session key that is still in memory, so that a host
// without any secret key can prove its own backups. Open streams an artifact of
// a published set back; at its end size and hash of the plain bytes have been
// compared with the manifest. Hash proves a file as it lies there.
//
// OpenPGP's CFB mode releases plain text before its integrity is proven: run
// Hash over an artifact before Open feeds it to anything that matters.
//
// Errors about the bytes of a published set are a *catalog.DamageError.
package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// sealedSuffix marks an artifact that a secret key is needed for.
const sealedSuffix = ".gpg"

// Sealed reports whether the artifact of that name is encrypted.
func Sealed(name string) bool { return strings.HasSuffix(name, sealedSuffix) }

// Written is an artifact of a draft, with the key that reads it back.
type Written struct {
	catalog.Artifact
	key *seal.SessionKey // nil when plain
}

// Forget wipes the session key. ReadBack at decode level fails afterwards.
func (w Written) Forget() {
	if w.key != nil {
		w.key.Wipe()
	}
}

// Write puts base plus its suffix (.zst or .zst.gpg) into d. fill writes the
// plain bytes; if it fails, nothing appears and its error comes back.
func Write(ctx context.Context, d *catalog.Draft, o seal.Options, base string, fill func(io.Writer) error) (Written, error) {
	w := Written{Artifact: catalog.Artifact{Name: base + seal.Suffix(len(o.Recipients) > 0)}}
	blob, err := d.Put(ctx, w.Name, func(sink io.Writer) error {
		sealer, err := seal.NewWriter(sink, o)
		if err != nil {
			return err
		}
		if err := fill(sealer); err != nil {
			sealer.Abort()
			return err
		}
		if err := sealer.Close(); err != nil {
			return err
		}
		w.RawBytes, w.RawSHA256, w.key = sealer.RawBytes(), sealer.RawSHA256(), sealer.SessionKey()
		return nil
	})
	if err != nil {
		w.Forget()
		return Written{}, err
	}
	w.Bytes, w.SHA256 = blob.Bytes, blob.SHA256
	return w, nil
}

// ErrReadBack means that what was read back is not what was written.
var ErrReadBack = errors.New("what was read back is not what was written")

// ReadBack reads the artifact from the draft. At catalog.ReadbackHash the bytes
// as they lie there are hashed; at ReadbackDecode they are also decrypted and
// decompressed and the plain bytes hashed and given to inspect, if not nil.
// progress, if not nil, gets the bytes of the file as they are read.
func (w Written) ReadBack(ctx context.Context, d *catalog.Draft, level string, progress func(n int64), inspect func(io.Reader) error) error {
	file, err := d.Open(ctx, w.Name)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	defer file.Close()
	sum := newSummer(&counter{r: ctxReader{ctx, file}, progress: progress})
	var decodeErr error
	if level == catalog.ReadbackDecode {
		decodeErr = w.decode(ctx, sum, inspect)
	}
	// To the end also after a failure: that the bytes are others explains why they
	// cannot be decoded, not the other way round.
	if _, err := io.Copy(io.Discard, sum); err != nil {
		return fmt.Errorf("read back %s: %w", w.Name, err)
	}
	switch same := sum.n == w.Bytes && sum.hex() == w.SHA256; {
	case decodeErr != nil && same:
		return fmt.Errorf("read back %s: %w", w.Name, decodeErr)
	case decodeErr != nil:
		return fmt.Errorf("read back %s: %w: %w", w.Name, ErrReadBack, decodeErr)
	case !same:
		return fmt.Errorf("read back %s: %w", w.Name, ErrReadBack)
	}
	return nil
}

func (w Written) decode(ctx context.Context, r io.Reader, inspect func(io.Reader) error) error {
	var unlock seal.Unlocker
	if w.key != nil {
		unlock = w.key
	}
	plain, err := seal.NewReader(ctx, r, Sealed(w.Name), unlock)
	if err != nil {
		return err
	}
	defer plain.Close()
	sum := newSummer(plain)
	if inspect != nil {
		if err := inspect(sum); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, sum); err != nil {
		return err
	}
	if sum.n != w.RawBytes || sum.hex() != w.RawSHA256 {
		return ErrReadBack
	}
	return nil
}

// Hash reads one file of a published set and compares size and hash with what
// is recorded. progress, if not nil, gets the bytes as they are read.
func Hash(ctx context.Context, c *catalog.Catalog, ref catalog.Ref, a catalog.Artifact, progress func(n int64)) error {
	file, err := c.Open(ctx, ref, a.Name)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := newSummer(&counter{r: ctxReader{ctx, file}, progress: progress})
	limited := io.Reader(sum)
	if a.Bytes >= 0 { // one that is longer is wrong, and may be endless
		limited = io.LimitReader(sum, a.Bytes+1)
	}
	if _, err := io.Copy(io.Discard, limited); err != nil {
		return fmt.Errorf("read %s: %w", a.Name, err)
	}
	switch {
	case a.Bytes >= 0 && sum.n > a.Bytes:
		return &catalog.DamageError{Ref: ref, Artifact: a.Name, Kind: catalog.DamageSize, Err: fmt.Errorf("more than %d bytes", a.Bytes)}
	case a.Bytes >= 0 && sum.n != a.Bytes:
		return &catalog.DamageError{Ref: ref, Artifact: a.Name, Kind: catalog.DamageSize, Err: fmt.Errorf("%d bytes, not %d", sum.n, a.Bytes)}
	case sum.hex() != a.SHA256:
		return &catalog.DamageError{Ref: ref, Artifact: a.Name, Kind: catalog.DamageChecksum}
	}
	return nil
}

// Open streams the plain bytes of an artifact of a published set. Read returns
// io.EOF only when the stream was whole and its plain size and hash are those
// of the manifest. The caller closes it.
func Open(ctx context.Context, c *catalog.Catalog, ref catalog.Ref, a catalog.Artifact, u seal.Unlocker, progress func(n int64)) (io.ReadCloser, error) {
	file, err := c.Open(ctx, ref, a.Name)
	if err != nil {
		return nil, err
	}
	plain, err := seal.NewReader(ctx, ctxReader{ctx, file}, Sealed(a.Name), u)
	if err != nil {
		_ = file.Close()
		return nil, damage(ref, a.Name, err)
	}
	return &opened{ref: ref, artifact: a, plain: plain, file: file, sum: newSummer(&counter{r: plain, progress: progress}), progress: progress}, nil
}

type opened struct {
	ref      catalog.Ref
	artifact catalog.Artifact
	plain    io.ReadCloser
	file     io.Closer
	sum      *summer
	progress func(n int64) // may be nil
}

func (o *opened) Read(p []byte) (int, error) {
	n, err := o.sum.Read(p)
	return n, o.judge(err)
}

// WriteTo implements io.WriterTo, without a copy. It returns without an error
// only where Read would return io.EOF. What w refused counts as read.
func (o *opened) WriteTo(w io.Writer) (int64, error) {
	sink := &sink{opened: o, w: w}
	n, err := io.Copy(sink, o.plain)
	if sink.err != nil {
		return n, sink.err
	}
	if err == nil {
		err = io.EOF
	}
	if err = o.judge(err); errors.Is(err, io.EOF) {
		return n, nil
	}
	return n, err
}

// piece is as much as is hashed before it is handed on: whoever takes it works meanwhile.
const piece = 256 << 10

// sink hashes and counts what passes, and remembers why w broke.
type sink struct {
	*opened
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (n int, err error) {
	for n < len(p) && s.err == nil {
		part := p[n:min(n+piece, len(p))]
		s.sum.add(part)
		if s.progress != nil {
			s.progress(int64(len(part)))
		}
		_, s.err = s.w.Write(part)
		n += len(part)
	}
	return n, s.err
}

// judge says what the end of the stream means.
func (o *opened) judge(err error) error {
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, io.EOF):
		return damage(o.ref, o.artifact.Name, err)
	case o.sum.n != o.artifact.RawBytes || o.sum.hex() != o.artifact.RawSHA256:
		return &catalog.DamageError{Ref: o.ref, Artifact: o.artifact.Name, Kind: catalog.DamageChecksum, Err: errors.New("of the decoded content")}
	}
	return io.EOF
}

func (o *opened) Close() error { return errors.Join(o.plain.Close(), o.file.Close()) }

// damage turns a complaint about the bytes into damage; what is not about the
// bytes (no key, a failing disk, a cancelled context) stays what it is.
func damage(ref catalog.Ref, name string, err error) error {
	if errors.Is(err, seal.ErrCorrupt) {
		return &catalog.DamageError{Ref: ref, Artifact: name, Kind: catalog.DamageMalformed, Err: err}
	}
	return fmt.Errorf("%s: %w", name, err)
}

// summer hashes and counts what passes.
type summer struct {
	r io.Reader
	h hash.Hash
	n int64
}

func newSummer(r io.Reader) *summer { return &summer{r: r, h: sha256.New()} }

func (s *summer) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.add(p[:n])
	return n, err
}

func (s *summer) add(p []byte) {
	s.h.Write(p)
	s.n += int64(len(p))
}

func (s *summer) hex() string { return hex.EncodeToString(s.h.Sum(nil)) }

// counter reports what passes.
type counter struct {
	r        io.Reader
	progress func(n int64)
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.progress != nil && n > 0 {
		c.progress(int64(n))
	}
	return n, err
}

// ctxReader ends a long read of a plain file when the context does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
