package pgdump

import "github.com/bmad-forge/forgectl/pkg/catalog"

// Fingerprint is the part of f that is about the chosen tables.
func (c *Choice) Fingerprint(f *catalog.Fingerprint) *catalog.Fingerprint {
	if f == nil || c == nil {
		return f
	}
	part := *f
	part.Tables, part.Sequences, part.LargeObjects = nil, nil, nil
	for _, t := range f.Tables {
		if c.tables[relation{t.Schema, t.Name}] {
			part.Tables = append(part.Tables, t)
		}
	}
	for _, s := range f.Sequences {
		if c.sequences[relation{s.Schema, s.Name}] {
			part.Sequences = append(part.Sequences, s)
		}
	}
	return &part
}

// expected is what f must be of a database that has only the chosen tables: the
// others are there and empty. What CREATE EXTENSION puts into a table of its own
// is there as well, whatever is chosen.
func (c *Choice) expected(f *catalog.Fingerprint) *catalog.Fingerprint {
	if c == nil {
		return f
	}
	want := c.Fingerprint(f)
	for _, t := range f.Tables {
		if c.tables[relation{t.Schema, t.Name}] || t.Condition != "" {
			continue
		}
		t.Rows = 0
		if t.Hash != "" {
			t.Hash = "0" // the sum of nothing
		}
		want.Tables = append(want.Tables, t)
	}
	return want
}

// moves reports whether a sequence is set to what it was.
func (c *Choice) moves(sequence relation) bool { return c == nil || c.sequences[sequence] }

// Of are the entries of a table of contents that are wanted.
func (t *TOC) Of(ids []int) *TOC {
	wanted := make(map[int]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	some := *t
	some.Entries = nil
	for _, e := range t.Entries {
		if wanted[e.DumpID] {
			some.Entries = append(some.Entries, e)
		}
	}
	return &some
}
