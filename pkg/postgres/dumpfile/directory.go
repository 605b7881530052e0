package dumpfile

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// openDirectory checks that it is a dump, and adds up its files.
func (f *File) openDirectory() error {
	entries, err := os.ReadDir(f.Path)
	if err != nil {
		return withoutPath(err)
	}
	f.Size = 0
	found := false
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return withoutPath(err)
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%w: %s in it is no regular file", ErrNotDump, printable(e.Name()))
		}
		found = found || e.Name() == tocName
		f.Size += info.Size()
	}
	if !found {
		return fmt.Errorf("%w: a directory without %s", ErrNotDump, tocName)
	}
	return nil
}

// examineDirectory proves as much as the files themselves say: that all are there, that the compressed ones are whole, and
// that rows end where pg_dump ends them. A large object that is not compressed says nothing of its length.
func (f *File) examineDirectory(ctx context.Context, r *Report) error {
	root, err := os.OpenRoot(f.Path)
	if err != nil {
		return withoutPath(err)
	}
	defer root.Close()
	data, err := f.readSmall(ctx, root, tocName)
	if err != nil {
		return err
	}
	p, err := readParts(data)
	if err != nil {
		return err
	}
	r.TOC = p.toc
	names, err := p.names()
	if err != nil {
		return err
	}
	rows := p.rows()
	listed := 0
	for _, name := range names {
		if !strings.HasSuffix(name, ".toc") {
			if err := f.examineMember(ctx, root, name, rows[name]); err != nil {
				return err
			}
			continue
		}
		list, err := f.readSmall(ctx, root, name)
		if err != nil {
			return err
		}
		blobs, err := blobNames(list)
		if err != nil {
			return err
		}
		listed += len(blobs)
		for _, blob := range blobs {
			if err := f.examineMember(ctx, root, blob, false); err != nil {
				return err
			}
		}
	}
	if listed < p.blobs() {
		return fmt.Errorf("%w: %d of %d large objects are missing", ErrDamaged, p.blobs()-listed, p.blobs())
	}
	return nil
}

// suffixes are what pg_dump adds to the name of a compressed file.
var suffixes = []string{"", ".gz", ".zst", ".lz4"}

// openMember opens a file of the dump, which may be compressed. A symbolic link is none.
func openMember(root *os.Root, name string) (*os.File, string, error) {
	for _, suffix := range suffixes {
		info, err := root.Lstat(name + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", withoutPath(err)
		}
		if !info.Mode().IsRegular() {
			return nil, "", fmt.Errorf("%w: %s is no regular file", ErrNotDump, name+suffix)
		}
		file, err := root.Open(name + suffix)
		return file, suffix, err
	}
	return nil, "", fmt.Errorf("%w: %s is missing", ErrDamaged, name)
}

func (f *File) readSmall(ctx context.Context, root *os.Root, name string) ([]byte, error) {
	var b bytes.Buffer
	err := f.readMember(ctx, root, name, &limitedBuffer{&b})
	return b.Bytes(), err
}

type limitedBuffer struct{ *bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxTOC {
		return 0, fmt.Errorf("%w: a table of contents of more than %d bytes", ErrUnsupported, maxTOC)
	}
	return b.Buffer.Write(p)
}

func (f *File) examineMember(ctx context.Context, root *os.Root, name string, rows bool) error {
	var end tail
	if err := f.readMember(ctx, root, name, &end); err != nil {
		return err
	}
	if rows && string(end.kept) != rowsEnd {
		return fmt.Errorf("%w: %s does not end as rows do", ErrDamaged, name)
	}
	return nil
}

func (f *File) readMember(ctx context.Context, root *os.Root, name string, w io.Writer) error {
	file, suffix, err := openMember(root, name)
	if err != nil {
		return err
	}
	defer file.Close()
	raw := &rawReader{ctx: ctx, r: file}
	var plain io.Reader = raw
	switch suffix {
	case ".gz":
		z, err := gzip.NewReader(raw)
		if err != nil {
			return memberError(raw, name+suffix, err)
		}
		plain = z
	case ".zst":
		z, err := zstd.NewReader(raw, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return memberError(raw, name+suffix, err)
		}
		defer z.Close()
		plain = z
	case ".lz4":
		return nil // pg_restore reads it, we do not
	}
	if _, err := io.Copy(w, plain); err != nil {
		return memberError(raw, name+suffix, err)
	}
	return nil
}

func memberError(raw *rawReader, name string, err error) error {
	if raw.err != nil {
		return raw.err
	}
	if errors.Is(err, ErrUnsupported) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
}

// state is what tells one content of a directory from another without reading it again.
func (f *File) state() (string, error) {
	entries, err := os.ReadDir(f.Path)
	if err != nil {
		return "", withoutPath(err)
	}
	var lines []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return "", withoutPath(err)
		}
		lines = append(lines, fmt.Sprint(e.Name(), info.Mode(), info.Size(), info.ModTime().UnixNano()))
	}
	slices.Sort(lines)
	return filepath.Base(f.Path) + "\n" + strings.Join(lines, "\n"), nil
}
