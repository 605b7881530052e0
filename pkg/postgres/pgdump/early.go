package pgdump

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// Early are the indexes and keys of a post-data archive that a table can be given as soon as its own rows are there,
// while others are still being loaded. Its methods may be called by several at once; of nil they do nothing.
type Early struct {
	archive archive
	entries []int // all that are wanted, in their order

	mu   sync.Mutex
	of   map[relation][]int // of the tables that have not been given theirs
	made map[int]bool
}

// ReadEarly reads a post-data archive to its end. nil: there is nothing to be had early, since the archive is too large
// to be held in memory or cannot be read here; Load judges it.
func (l Loader) ReadEarly(r io.Reader) (*Early, error) {
	var whole bytes.Buffer
	_, err := io.CopyN(&whole, r, wholeLimit)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		return nil, err
	}
	if err != io.EOF { // a wrapped one is not the end
		return nil, err
	}
	toc, err := ReadTOC(bytes.NewReader(whole.Bytes()))
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // as documented
	}
	early := &Early{archive: archive{bytes: whole.Bytes()}, of: map[relation][]int{}, made: map[int]bool{}}
	for _, e := range toc.choose(l.Only) {
		early.entries = append(early.entries, e.DumpID)
	}
	builds, _ := toc.builds(l.Only)
	for _, e := range toc.Of(builds).Entries {
		if table, ok := tableOf(e); ok && ofRowsAlone(e) {
			early.of[table] = append(early.of[table], e.DumpID)
		}
	}
	return early, nil
}

// ofRowsAlone reports whether an index or key is made of columns and nothing else. An expression or a condition may call
// a function that reads another table, whatever it was declared as, and needs all data to be there.
func ofRowsAlone(e Entry) bool {
	words := sqlWords(e.Definition)
	list := slices.Index(words, "(")
	if list < 1 || e.Type == "CONSTRAINT" && !slices.Contains([]string{"KEY", "UNIQUE", "DISTINCT"}, words[list-1]) {
		return false
	}
	depth := 0
	for _, word := range words[list:] {
		switch word {
		case "(":
			depth++
		case ")":
			depth--
		case ".", ":", "WHERE": // something with a schema, a cast, a condition
			return false
		}
		if depth > 1 || strings.HasPrefix(word, "'") {
			return false
		}
	}
	return depth == 0
}

// Build gives tables whose rows are there, and committed, what belongs to them.
func (e *Early) Build(ctx context.Context, l Loader, tables [][2]string) ([]Said, error) {
	ids := e.take(tables)
	if len(ids) == 0 {
		return nil, nil
	}
	said, err := l.run(ctx, e.archive, ids, 1)
	if err != nil {
		return said, fmt.Errorf("load %s: %w", PostData, err)
	}
	return said, nil
}

func (e *Early) take(tables [][2]string) []int {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []int
	for _, t := range tables {
		ids = append(ids, e.of[t]...)
		delete(e.of, t)
	}
	for _, id := range ids {
		e.made[id] = true
	}
	slices.SortFunc(ids, func(a, b int) int { return slices.Index(e.entries, a) - slices.Index(e.entries, b) })
	return ids
}

// Rest is what is still wanted of the archive, for Loader.Only: unchanged if nothing was built.
func (e *Early) Rest(only []int) []int {
	if e == nil {
		return only
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.made) == 0 {
		return only
	}
	rest := []int{} // nil would be everything
	for _, id := range e.entries {
		if !e.made[id] {
			rest = append(rest, id)
		}
	}
	return rest
}
