package dumpfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
)

// The format byte of an archive's head (ArchiveFormat in pg_backup.h). A directory says that it is a tar archive.
const (
	formatCustom = 1
	formatTar    = 3
)

// tocName is the table of contents of a tar or directory archive.
const tocName = "toc.dat"

// maxTOC bounds a table of contents, which is kept in memory.
const maxTOC = 256 << 20

// parts is the table of contents of an archive in several files.
type parts struct {
	toc   *pgdump.TOC
	files map[int]string // by dump id
}

// readParts reads a toc.dat. It differs from the head of a custom archive in one byte and at the end of each entry, where it
// has the name of a file instead of an offset; so it is rewritten to that, and read by the one reader that there is.
func readParts(data []byte) (*parts, error) {
	w := &rewriter{in: data}
	files, err := w.rewrite()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, tocName, err)
	}
	if len(w.in) > 0 {
		return nil, fmt.Errorf("%w: %s: %d bytes too many", ErrDamaged, tocName, len(w.in))
	}
	toc, err := pgdump.ReadTOC(bytes.NewReader(w.out))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, tocName, err)
	}
	return &parts{toc, files}, nil
}

// rewriter moves values from in to out.
type rewriter struct {
	in, out []byte
	intSize int
}

// rewrite follows ReadHead and ReadToc of pg_backup_archiver.c.
func (w *rewriter) rewrite() (map[int]string, error) {
	const head = 11
	if len(w.in) < head || string(w.in[:5]) != "PGDMP" {
		return nil, fmt.Errorf("no PGDMP signature")
	}
	if w.in[10] != formatTar {
		return nil, fmt.Errorf("archive format %d", w.in[10])
	}
	minor, offSize := int(w.in[6]), int(w.in[9])
	if w.intSize = int(w.in[8]); w.intSize < 4 || w.intSize > 8 || offSize > 8 {
		return nil, fmt.Errorf("integers of %d bytes", w.intSize)
	}
	w.move(head)
	w.out[10] = formatCustom
	if minor >= 15 {
		w.move(1)
	} else {
		w.int()
	}
	for range 7 {
		w.int()
	}
	w.strings(3)
	files := map[int]string{}
	for range w.int() {
		if w.in == nil {
			break
		}
		id := w.int()
		w.int()
		w.strings(4)
		w.int()
		w.strings(5)
		if minor >= 14 {
			w.strings(1)
		}
		if minor >= 16 {
			w.int()
		}
		w.strings(2)
		for {
			if _, null := w.str(); null {
				break
			}
		}
		mark := len(w.out)
		name, _ := w.str()
		if w.in == nil {
			break
		}
		w.out = append(w.out[:mark], make([]byte, 1+offSize)...)
		if name != "" {
			files[id] = name
		}
	}
	if w.in == nil {
		return nil, fmt.Errorf("ends too early")
	}
	return files, nil
}

// move is for n bytes that stay as they are. Where they are not there, in becomes nil and stays so.
func (w *rewriter) move(n int) []byte {
	if w.in == nil || n < 0 || n > len(w.in) {
		w.in = nil
		return nil
	}
	b := w.in[:n]
	w.out, w.in = append(w.out, b...), w.in[n:]
	if w.in == nil {
		w.in = []byte{}
	}
	return b
}

func (w *rewriter) int() int {
	b := w.move(1 + w.intSize)
	if b == nil {
		return 0
	}
	var wide [8]byte
	copy(wide[:], b[1:])
	v := int(binary.LittleEndian.Uint64(wide[:]))
	if b[0] != 0 {
		return -v
	}
	return v
}

func (w *rewriter) strings(n int) {
	for range n {
		w.str()
	}
}

func (w *rewriter) str() (s string, null bool) {
	n := w.int()
	if n < 0 || w.in == nil {
		return "", true
	}
	return string(w.move(n)), false
}

// plainName is what pg_dump calls its files. Another name could lead out of the directory.
var plainName = regexp.MustCompile(`^[0-9A-Za-z_]+\.(?:dat|toc)$`)

// blobLists gives the entries for large objects of a tar archive the names that their lists really have; written there is
// that of a file that never was.
func (p *parts) blobLists(there map[string]bool) {
	for _, e := range p.toc.OfType("BLOBS") {
		name := "blobs.toc"
		if own := fmt.Sprintf("blobs_%d.toc", e.DumpID); there[own] { // since 17
			name = own
		}
		p.files[e.DumpID] = name
	}
}

// names are the files that the archive must have, sorted.
func (p *parts) names() ([]string, error) {
	var names []string
	for _, name := range p.files {
		if !plainName.MatchString(name) {
			return nil, fmt.Errorf("%w: %s names the file %q", ErrNotDump, tocName, printable(name))
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// blobs is how many large objects the lists together must have.
func (p *parts) blobs() int {
	n := len(p.toc.OfType("BLOB"))
	for _, e := range p.toc.OfType("BLOB METADATA") { // since 17: one for many, with an oid in each line
		n += len(strings.Fields(e.Definition))
	}
	return n
}

// rows are the files that hold the rows of tables in COPY's format.
func (p *parts) rows() map[string]bool {
	rows := map[string]bool{}
	for _, e := range p.toc.TableData() {
		if e.Copy != "" {
			rows[p.files[e.DumpID]] = true
		}
	}
	return rows
}

// rowsEnd is how pg_dump ends them.
const rowsEnd = "\\.\n\n\n"

// tail keeps the last bytes that were written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	if len(p) >= len(rowsEnd) {
		t.kept = append(t.kept[:0], p[len(p)-len(rowsEnd):]...)
	} else {
		t.kept = append(t.kept, p...)
		t.kept = t.kept[max(len(t.kept)-len(rowsEnd), 0):]
	}
	return len(p), nil
}

// blobNames reads the list of large objects, "oid name" in each line.
func blobNames(list []byte) ([]string, error) {
	var names []string
	for line := range bytes.Lines(list) {
		fields := bytes.Fields(line)
		if len(fields) == 0 {
			continue
		}
		name := string(fields[len(fields)-1])
		if len(fields) != 2 || !plainName.MatchString(name) || !bytes.HasSuffix(line, []byte("\n")) {
			return nil, fmt.Errorf("%w: the list of large objects has the line %q", ErrDamaged, printable(string(line)))
		}
		names = append(names, name)
	}
	return names, nil
}
