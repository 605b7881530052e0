package pgdump

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
)

// wholeLimit is how large a post-data archive may be to be held in memory. It
// holds definitions: this is some hundred thousand of them.
const wholeLimit = 32 << 20

// atOnce loads a post-data archive with several sessions: first the indexes and
// keys, at once, then everything else in its order. Only these: pg_restore's own
// way of doing all of it in parallel deadlocks on partitioned indexes that are
// attached while somebody reads the parent (seen with PostgreSQL 15).
func (l Loader) atOnce(ctx context.Context, r io.Reader) ([]Said, error) {
	var whole bytes.Buffer
	if _, err := io.CopyN(&whole, r, wholeLimit); err == nil { // too large for that
		return l.run(ctx, archive{stream: io.MultiReader(&whole, r)}, l.Only, 1)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	all := archive{bytes: whole.Bytes()}
	toc, err := ReadTOC(bytes.NewReader(all.bytes))
	if err != nil {
		return nil, err
	}
	builds, rest := toc.builds(l.Only)
	if len(builds) < 2 {
		return l.run(ctx, archive{stream: &whole}, l.Only, 1)
	}
	said, err := l.run(ctx, all, builds, l.Jobs)
	if err != nil {
		return said, err
	}
	more, err := l.run(ctx, archive{stream: &whole}, rest, 1)
	return append(said, more...), err
}

// builds are those of the wanted entries (nil: all) that can be made at the same
// time: each locks one table in one way and waits for nothing else. That is not
// so when an index is also made the one to cluster by, or the replica identity,
// or when it depends on something else that is made after the data.
func (t *TOC) builds(wanted []int) (builds, rest []int) {
	rest = []int{} // nil would be everything
	type state struct{ here, build bool }
	known := map[int]state{}
	for _, e := range t.Entries {
		known[e.DumpID] = state{here: true}
	}
	for _, e := range t.choose(wanted) {
		build := e.Type == "CONSTRAINT" || e.Type == "INDEX" && !strings.Contains(e.Definition, "\nALTER ")
		for _, id := range e.DependsOn {
			build = build && (!known[id].here || known[id].build)
		}
		if known[e.DumpID] = (state{true, build}); build {
			builds = append(builds, e.DumpID)
		} else {
			rest = append(rest, e.DumpID)
		}
	}
	return builds, rest
}

// choose are the entries with these ids, in their order; nil: all.
func (t *TOC) choose(ids []int) []Entry {
	if ids == nil {
		return t.Entries
	}
	return t.Of(ids).Entries
}
