package dumpfile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
)

// Report is what Examine found.
type Report struct {
	Format      Format
	Bytes       int64       // of the plain stream; of a directory: of its files
	TOC         *pgdump.TOC // of an archive
	DumpVersion string      // of the pg_dump that wrote it; "" when it does not say
	ServerFrom  string      // of the server that it was taken from
	Owners      []string    // roles that own something in it, sorted

	Findings []Finding // the first maxFindings of them
	More     int       // those that are not in the list
	// Unmarked: plain SQL without pg_dump's last line. It was not written by pg_dump, or was cut off between two statements.
	Unmarked bool

	unsure []Finding         // the first of its kind
	sum    [sha256.Size]byte // of the plain stream
	state  string            // of a directory
}

// maxFindings bounds a Report.
const maxFindings = 100

// maxOwners bounds it too.
const maxOwners = 1000

// Refusal is why it may not be loaded: a *RefusedError, or nil. Trust forgives only what a trusted person may have had
// reasons for: see Kind.
func (r *Report) Refusal(trusted bool) error {
	e := &RefusedError{Unmarked: r.Unmarked && !trusted}
	if !trusted {
		e.More = r.More // else they are of the kind that is forgiven
	}
	for _, f := range r.Findings {
		if !trusted || f.Kind != Cluster {
			e.Findings = append(e.Findings, f)
		}
	}
	if len(e.Findings) == 0 && !e.Unmarked {
		return nil
	}
	return e
}

func (r *Report) add(f Finding) error {
	if f.Kind == Unsure {
		if r.unsure == nil {
			r.unsure = []Finding{f}
		}
		return nil
	}
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, f)
		return nil
	}
	// Those that trust does not forgive must be in the list.
	if i := slices.IndexFunc(r.Findings, func(old Finding) bool { return old.Kind == Cluster }); f.Kind != Cluster && i >= 0 {
		r.Findings = append(slices.Delete(r.Findings, i, i+1), f)
	}
	r.More++
	return nil
}

func (r *Report) own(role string) {
	if role != "" && len(r.Owners) < maxOwners && !slices.Contains(r.Owners, role) {
		r.Owners = append(r.Owners, role)
	}
}

// Examine reads the whole dump once. The error is ErrDamaged when it is not whole; what is merely not to be loaded is
// in the report. The result is kept: examining again gives the same.
func (f *File) Examine(ctx context.Context) (*Report, error) {
	if f.report != nil {
		return f.report, nil
	}
	r := &Report{Format: f.Format}
	if err := f.examine(ctx, r); err != nil {
		return nil, fmt.Errorf("examine dump %s: %w", f.Path, err)
	}
	slices.Sort(r.Owners)
	f.report = r
	return r, nil
}

func (f *File) examine(ctx context.Context, r *Report) error {
	if f.Format == Directory {
		state, err := f.state()
		if err != nil {
			return err
		}
		r.state, r.Bytes = state, f.Size
		if err := f.examineDirectory(ctx, r); err != nil {
			return err
		}
		return r.entries()
	}
	plain, err := f.peel(ctx, f.Layers)
	if err != nil {
		return err
	}
	defer plain.Close()
	in := newMeter(plain)
	switch f.Format {
	case SQL:
		err = r.sql(in)
	case Custom:
		r.TOC, err = pgdump.Inspect(in)
		if errors.Is(err, pgdump.ErrArchive) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	case Tar:
		err = examineTar(in, r)
	}
	// What the stream says of itself explains why its content makes no sense, not the other way round.
	if _, rest := io.Copy(io.Discard, in); rest != nil {
		return rest
	}
	if err != nil {
		return err
	}
	r.Bytes = in.n
	r.sum = in.sum()
	if r.TOC != nil {
		return r.entries()
	}
	return nil
}

// sql scans a plain dump.
func (r *Report) sql(in io.Reader) error {
	s := newScanner(in, nil)
	s.found, s.owner = r.add, r.own
	err := s.run()
	var cut *cutError
	switch {
	case errors.As(err, &cut):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case errors.Is(err, errNUL):
		return fmt.Errorf("%w: %w", ErrNotDump, err)
	case err != nil:
		return err
	}
	r.DumpVersion, r.ServerFrom, r.Unmarked = s.header[headProgram], s.header[headServer], !s.marked
	return nil
}

// entries judges the definitions of an archive. pg_restore sends each by itself to the server, so psql's part of
// reading does not matter here, and an odd one confuses none but itself.
func (r *Report) entries() error {
	r.DumpVersion, r.ServerFrom = r.TOC.DumpVersion, r.TOC.ServerFrom
	for _, role := range r.TOC.Owners() {
		r.own(role)
	}
	for _, e := range r.TOC.Entries {
		if ofDatabase(e) {
			continue // pg_restore leaves it out unless it is to create the database
		}
		for _, sql := range []string{e.Definition, e.Copy} {
			s := newScanner(strings.NewReader(sql), nil)
			s.found = func(f Finding) error {
				if f.Kind != Database && f.Kind != Cluster {
					return nil
				}
				f.Entry = printable(e.Type + " " + e.Name)
				return r.add(f)
			}
			var cut *cutError
			// Definitions need no semicolon, and a COPY's rows are elsewhere.
			if err := s.run(); err != nil && !errors.As(err, &cut) && !errors.Is(err, errNUL) {
				return err
			}
		}
	}
	return nil
}

func ofDatabase(e pgdump.Entry) bool {
	switch e.Type {
	case "DATABASE", "DATABASE PROPERTIES":
		return true
	case "ACL", "COMMENT", "SECURITY LABEL":
		return strings.HasPrefix(e.Name, "DATABASE ")
	}
	return false
}

// meter counts and hashes what is read through it.
type meter struct {
	r    io.Reader
	hash hash.Hash
	n    int64
	err  error
}

func newMeter(r io.Reader) *meter { return &meter{r: r, hash: sha256.New()} }

func (m *meter) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	n, err := m.r.Read(p)
	m.err = err
	m.n += int64(n)
	_, _ = m.hash.Write(p[:n])
	return n, err
}

func (m *meter) sum() (sum [sha256.Size]byte) {
	copy(sum[:], m.hash.Sum(nil))
	return sum
}

// same compares with what was examined.
func (m *meter) same(r *Report) error {
	if sum := m.sum(); !bytes.Equal(sum[:], r.sum[:]) {
		return ErrChanged
	}
	return nil
}
