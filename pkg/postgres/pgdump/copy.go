package pgdump

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// loadRows loads a data archive. One that holds nothing but rows of tables is
// copied over a connection of our own; pg_restore, which reads its input in small
// pieces, would need a core for itself. Whatever else there is (large objects,
// values of sequences) is pg_restore's.
func (l Loader) loadRows(ctx context.Context, stream io.Reader) ([]Said, error) {
	r := &source{r: stream}
	said, err := l.loadRowsOf(ctx, r)
	if err != nil && r.err != nil {
		err = r.err // that the stream broke explains everything else
	}
	return said, err
}

// source remembers why a stream broke.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func (l Loader) loadRowsOf(ctx context.Context, r io.Reader) ([]Said, error) {
	var head bytes.Buffer
	buffered := bufio.NewReaderSize(io.TeeReader(r, &head), 64<<10)
	toc, a, err := readTOC(buffered)
	// What cannot be read here is for pg_restore to judge, which may be newer.
	if err != nil || !toc.onlyRows() {
		return l.run(ctx, archive{stream: io.MultiReader(&head, r)}, l.Only, 1)
	}
	// What is buffered already, and then the stream without a second copy.
	ahead, _ := buffered.Peek(buffered.Buffered())
	a.r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(ahead)), r), 256<<10)
	return nil, l.copyAll(ctx, toc, a)
}

// onlyRows reports whether everything that the archive brings are rows by COPY.
func (t *TOC) onlyRows() bool {
	for _, e := range t.Entries {
		switch {
		case e.ofSession():
		// About the database itself, which is not made from this archive.
		case strings.HasPrefix(e.Type, "DATABASE"), e.Type != "TABLE DATA" && strings.HasPrefix(e.Name, "DATABASE "):
		case e.Type != "TABLE DATA" || !strings.HasPrefix(e.Copy, "COPY ") || !strings.HasSuffix(e.Copy, copyFrom):
			return false
		}
	}
	return len(t.TableData()) > 0
}

// ofSession reports whether the entry is a setting for the session that loads.
func (e Entry) ofSession() bool {
	return e.Type == "ENCODING" || e.Type == "STDSTRINGS" || e.Type == "SEARCHPATH"
}

// copyFrom is how pg_dump ends a COPY statement.
const copyFrom = " FROM stdin;\n"

// copyAll loads the wanted tables, in the order of their data.
func (l Loader) copyAll(ctx context.Context, toc *TOC, a *archiveReader) error {
	conn, err := l.Endpoint.ConnectPatient(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := l.prepare(ctx, conn, toc); err != nil {
		return err
	}
	wanted := map[int]bool{}
	for _, e := range toc.choose(l.Only) {
		wanted[e.DumpID] = true
	}
	return a.eachBlock(toc, func(kind byte, e Entry) error {
		if kind != blockData {
			return archiveError("data of "+e.Name, fmt.Errorf("block type %d", kind))
		}
		if !wanted[e.DumpID] {
			return a.skipChunks()
		}
		if err := copyTable(ctx, conn, e, &chunkReader{a: a}); err != nil {
			return err
		}
		if l.Loaded != nil {
			l.Loaded(e.Schema, e.Name)
		}
		return nil
	})
}

// prepare gives the session what pg_restore gives it: the settings of the dump.
func (l Loader) prepare(ctx context.Context, conn *pgx.Conn, toc *TOC) error {
	settings := []string{"SET row_security = off", "SET xmloption = content", "SET check_function_bodies = false"}
	for _, e := range toc.Entries {
		if e.ofSession() {
			settings = append(settings, e.Definition)
		}
	}
	for _, sql := range settings {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("prepare session: %w", err)
		}
	}
	return nil
}

// copyTable loads the rows of one table, which is empty. That it is emptied in the
// same transaction lets the server mark the rows as old at once (FREEZE), so that
// nobody has to write its pages a second time for that.
func copyTable(ctx context.Context, conn *pgx.Conn, e Entry, rows *chunkReader) error {
	table := postgres.QuoteIdent(e.Schema, e.Name)
	for _, sql := range []string{"BEGIN", "TRUNCATE TABLE ONLY " + table} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("load %s: %w", table, err)
		}
	}
	lent := &lentReader{r: rows}
	_, err := conn.PgConn().CopyFrom(ctx, lent, strings.TrimSuffix(e.Copy, copyFrom)+" FROM stdin WITH (FREEZE)")
	lent.takeBack()
	if rows.err != nil && !errors.Is(rows.err, io.EOF) {
		return rows.err // the server only says that the client gave up
	}
	if err == nil {
		_, err = conn.Exec(ctx, "COMMIT")
	}
	if err != nil {
		return fmt.Errorf("load %s: %w", table, err)
	}
	return nil
}

// lentReader is a reader for somebody who may still be reading when he says that he
// is done, as CopyFrom may after an error of the server.
type lentReader struct {
	mu   sync.Mutex
	r    io.Reader
	over bool
}

func (l *lentReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return 0, io.ErrClosedPipe
	}
	return l.r.Read(p)
}

// takeBack waits for a Read in progress, and lets no other begin.
func (l *lentReader) takeBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

// chunkReader is the contents of a data block: its chunks, one after the other.
type chunkReader struct {
	a    *archiveReader
	left int   // of the current chunk
	err  error // sticky
}

// Read fills p as far as it can: pg_dump makes a chunk of each row, and the server
// is better off with larger messages.
func (c *chunkReader) Read(p []byte) (n int, err error) {
	for n < len(p) && c.err == nil {
		if c.left == 0 {
			if c.left, c.err = c.a.int(); c.err == nil && c.left < 0 {
				c.err = fmt.Errorf("%w: chunk of %d bytes", ErrArchive, c.left)
			} else if c.err == nil && c.left == 0 {
				c.err = io.EOF
			} else if errors.Is(c.err, io.EOF) {
				c.err = io.ErrUnexpectedEOF // the block has no end
			}
			continue
		}
		var m int
		if m, c.err = c.a.r.Read(p[n:min(len(p), n+c.left)]); errors.Is(c.err, io.EOF) {
			c.err = io.ErrUnexpectedEOF
		}
		n, c.left = n+m, c.left-m
	}
	if n > 0 {
		return n, nil
	}
	return 0, c.err
}
