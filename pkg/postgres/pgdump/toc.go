package pgdump

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// ErrArchive is wrapped by every complaint about the bytes of an archive.
var ErrArchive = errors.New("not a valid pg_dump archive")

// Entry is one item of an archive's table of contents.
type Entry struct {
	DumpID     int
	Type       string // "TABLE", "TABLE DATA", "EXTENSION", "COLLATION", "BLOBS", …
	Schema     string // "" where the object has none
	Name       string
	Owner      string
	Tablespace string
	Section    Section
	Definition string // the SQL that makes it; "" for data
	Copy       string // the COPY statement of TABLE DATA
	HasData    bool   // a data block follows the table of contents
	DependsOn  []int  // dump ids of entries that are made first; those of other sections are not in the archive
}

// Section is the part of a dump that an entry belongs to.
type Section int

// The values are pg_dump's own (teSection in pg_backup.h).
const (
	SectionNone Section = iota + 1
	SectionPreData
	SectionData
	SectionPostData
)

// TOC is the head of a custom-format archive.
type TOC struct {
	Format      [3]int // of the archive: 1.14.0
	Compressed  bool
	Database    string
	ServerFrom  string // version of the dumped server, as text
	DumpVersion string // version of the pg_dump that wrote it
	Entries     []Entry
}

// Union is the contents of several archives of one dump, one after the other.
func Union(tocs []*TOC) *TOC {
	all := *tocs[0]
	all.Entries = nil
	for _, t := range tocs {
		all.Entries = append(all.Entries, t.Entries...)
	}
	return &all
}

// TableData are the entries that carry a table's rows.
func (t *TOC) TableData() []Entry { return t.OfType("TABLE DATA") }

// OfType are the entries of one type.
func (t *TOC) OfType(typ string) []Entry {
	var some []Entry
	for _, e := range t.Entries {
		if e.Type == typ {
			some = append(some, e)
		}
	}
	return some
}

// Owners are the roles that own something in the archive, sorted.
func (t *TOC) Owners() []string {
	var owners []string
	for _, e := range t.Entries {
		if e.Owner != "" {
			owners = append(owners, e.Owner)
		}
	}
	slices.Sort(owners)
	return slices.Compact(owners)
}

// The format is that of src/bin/pg_dump/pg_backup_archiver.c (ReadHead, ReadToc,
// ReadInt, ReadStr) and pg_backup_custom.c. Nothing but the source documents it.
const (
	archCustom = 1

	blockData  = 1
	blockBlobs = 3

	oldestFormat = 12 // 1.12: PostgreSQL 9.0 to 11.0
	newestFormat = 16 // 1.16: PostgreSQL 17, 18

	// A table of contents holds definitions; a function of 64 MiB would be one.
	maxString  = 64 << 20
	maxEntries = 10_000_000
)

// archiveReader reads the primitive values of the format.
type archiveReader struct {
	r       *bufio.Reader
	intSize int
	offSize int
	minor   int
}

// ReadTOC reads the head of a custom-format archive from r, buffering ahead:
// what follows cannot be read from r afterwards (Inspect does the whole).
func ReadTOC(r io.Reader) (*TOC, error) {
	toc, _, err := readTOC(bufio.NewReaderSize(r, 64<<10))
	return toc, err
}

func readTOC(r *bufio.Reader) (*TOC, *archiveReader, error) {
	a := &archiveReader{r: r}
	toc := &TOC{}
	if err := a.head(toc); err != nil {
		return nil, nil, archiveError("head", err)
	}
	count, err := a.int()
	if err == nil && (count < 0 || count > maxEntries) {
		err = fmt.Errorf("%d entries", count)
	}
	if err != nil {
		return nil, nil, archiveError("table of contents", err)
	}
	for i := range count {
		e, err := a.entry()
		if err != nil {
			return nil, nil, archiveError(fmt.Sprintf("entry %d of %d", i+1, count), err)
		}
		toc.Entries = append(toc.Entries, e)
	}
	return toc, a, nil
}

func archiveError(where string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("ends too early")
	}
	return fmt.Errorf("%w: %s: %w", ErrArchive, where, err)
}

func (a *archiveReader) head(toc *TOC) error {
	var head [11]byte
	if _, err := io.ReadFull(a.r, head[:]); err != nil {
		return err
	}
	if string(head[:5]) != "PGDMP" {
		return errors.New("no PGDMP signature")
	}
	toc.Format = [3]int{int(head[5]), int(head[6]), int(head[7])}
	a.minor = toc.Format[1]
	if head[5] != 1 || a.minor < oldestFormat {
		return fmt.Errorf("format %d.%d is not supported", head[5], head[6])
	}
	if a.minor > newestFormat {
		return fmt.Errorf("format 1.%d is newer than this forgectl knows", a.minor)
	}
	a.intSize, a.offSize = int(head[8]), int(head[9])
	if a.intSize < 4 || a.intSize > 8 || a.offSize < 4 || a.offSize > 8 {
		return fmt.Errorf("integers of %d and %d bytes", a.intSize, a.offSize)
	}
	if head[10] != archCustom {
		return errors.New("not the custom format")
	}
	if a.minor >= 15 { // one byte names the algorithm
		b, err := a.r.ReadByte()
		if err != nil {
			return err
		}
		toc.Compressed = b != 0
	} else {
		level, err := a.int()
		if err != nil {
			return err
		}
		toc.Compressed = level != 0
	}
	for range 7 { // creation time: sec min hour mday mon year isdst
		if _, err := a.int(); err != nil {
			return err
		}
	}
	return a.strings(&toc.Database, &toc.ServerFrom, &toc.DumpVersion)
}

func (a *archiveReader) entry() (Entry, error) {
	var e Entry
	var err error
	if e.DumpID, err = a.int(); err != nil {
		return e, err
	}
	if e.DumpID <= 0 {
		return e, fmt.Errorf("dump id %d", e.DumpID)
	}
	dumper, err := a.int()
	if err != nil {
		return e, err
	}
	e.HasData = dumper != 0
	var tableOID, oid, drop, access, withOIDs string
	if err := a.strings(&tableOID, &oid, &e.Name, &e.Type); err != nil {
		return e, err
	}
	section, err := a.int()
	if err != nil {
		return e, err
	}
	e.Section = Section(section)
	if err := a.strings(&e.Definition, &drop, &e.Copy, &e.Schema, &e.Tablespace); err != nil {
		return e, err
	}
	if a.minor >= 14 {
		if err := a.strings(&access); err != nil {
			return e, err
		}
	}
	if a.minor >= 16 { // relkind
		if _, err := a.int(); err != nil {
			return e, err
		}
	}
	if err := a.strings(&e.Owner, &withOIDs); err != nil {
		return e, err
	}
	if e.DependsOn, err = a.dependencies(); err != nil {
		return e, err
	}
	_, err = a.r.Discard(1 + a.offSize) // where the data is: a flag and an offset
	return e, err
}

// dependencies are dump ids as text, and a NULL at the end.
func (a *archiveReader) dependencies() ([]int, error) {
	var all []int
	for {
		text, null, err := a.str()
		if err != nil || null {
			return all, err
		}
		id, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("dependency %q", text)
		}
		all = append(all, id)
	}
}

// int is a sign byte and intSize bytes, least significant first.
func (a *archiveReader) int() (int, error) {
	var b [9]byte
	buf := b[:1+a.intSize]
	if _, err := io.ReadFull(a.r, buf); err != nil {
		return 0, err
	}
	if buf[0] > 1 {
		return 0, fmt.Errorf("sign byte %d", buf[0])
	}
	var v uint64
	for i, c := range buf[1:] {
		v |= uint64(c) << (8 * i)
	}
	if v > 1<<40 {
		return 0, fmt.Errorf("integer %d", v)
	}
	if buf[0] == 1 {
		return -int(v), nil
	}
	return int(v), nil
}

func (a *archiveReader) strings(into ...*string) error {
	for _, s := range into {
		v, _, err := a.str()
		if err != nil {
			return err
		}
		*s = v
	}
	return nil
}

func (a *archiveReader) str() (s string, null bool, err error) {
	n, err := a.int()
	if err != nil {
		return "", false, err
	}
	if n < 0 {
		return "", true, nil
	}
	if n > maxString {
		return "", false, fmt.Errorf("string of %d bytes", n)
	}
	// A lying length must not allocate what is not there.
	var b []byte
	for len(b) < n {
		chunk := min(n-len(b), 64<<10)
		b = slices.Grow(b, chunk)
		m, err := io.ReadFull(a.r, b[len(b):len(b)+chunk])
		b = b[:len(b)+m]
		if err != nil {
			return "", false, err
		}
	}
	return string(b), false, nil
}
