package dumpfile

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// examineTar walks through a tar archive: its first member is the table of contents, which says what must follow. pg_restore
// itself takes one without its end for whole.
func examineTar(in io.Reader, r *Report) error {
	blocks := &counter{r: in}
	t := tar.NewReader(blocks)
	var p *parts
	var blobs []string
	var rows map[string]bool
	seen := map[string]bool{}
	for {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return tarError(err)
		}
		if h.Typeflag != tar.TypeReg {
			return fmt.Errorf("%w: %s in it is no regular file", ErrNotDump, printable(h.Name))
		}
		seen[h.Name] = true
		switch {
		case p == nil:
			toc, err := small(t)
			if err != nil {
				return tarError(err)
			}
			if p, err = readParts(toc); err != nil {
				return err
			}
			rows = p.rows()
		case strings.HasSuffix(h.Name, ".toc"):
			list, err := small(t)
			if err != nil {
				return tarError(err)
			}
			names, err := blobNames(list)
			if err != nil {
				return err
			}
			blobs = append(blobs, names...)
		default:
			end, err := lastBytes(t)
			if err != nil {
				return tarError(err)
			}
			if rows[h.Name] && end != rowsEnd {
				return fmt.Errorf("%w: %s does not end as rows do", ErrDamaged, printable(h.Name))
			}
		}
	}
	if p == nil {
		return fmt.Errorf("%w: no member", ErrDamaged)
	}
	r.TOC = p.toc
	p.blobLists(seen)
	names, err := p.names()
	if err != nil {
		return err
	}
	for _, name := range slices.Concat(names, blobs) {
		if !seen[name] {
			return fmt.Errorf("%w: %s is missing", ErrDamaged, name)
		}
	}
	if len(blobs) < p.blobs() {
		return fmt.Errorf("%w: %d of %d large objects are missing", ErrDamaged, p.blobs()-len(blobs), p.blobs())
	}
	// The reader takes the end of the stream for the end of the archive.
	if _, err := io.Copy(io.Discard, blocks); err != nil {
		return err
	}
	const end = 2 * 512
	if blocks.zeros < end {
		return fmt.Errorf("%w: the end of the tar archive is missing, or something follows it", ErrDamaged)
	}
	return nil
}

// small reads what is kept in memory.
func small(r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	_, err := io.Copy(&limitedBuffer{&b}, r)
	return b.Bytes(), err
}

func lastBytes(r io.Reader) (string, error) {
	var end tail
	_, err := io.Copy(&end, r)
	return string(end.kept), err
}

func tarError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// counter counts the zero bytes at the end of a stream.
type counter struct {
	r     io.Reader
	zeros int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if kept := len(bytes.TrimRight(p[:n], "\x00")); kept > 0 {
		c.zeros = int64(n - kept)
	} else {
		c.zeros += int64(n)
	}
	return n, err
}
