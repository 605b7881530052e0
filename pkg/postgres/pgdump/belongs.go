package pgdump

import "slices"

// relation is a schema and a name.
type relation = [2]string

// tableOf is the table (or view) that an entry of the post-data archive belongs
// to. It is read from the definition, which pg_dump writes with qualified names;
// the tag ("table constraint") can be read in more than one way. Words in upper
// case without quotes are keywords: PostgreSQL quotes every such name.
func tableOf(e Entry) (relation, bool) {
	words := sqlWords(e.Definition)
	if alters(words, "TABLE") || alters(words, "FOREIGN", "TABLE") {
		// Constraints, row security, and a trigger that a partition has from its parent.
		return nameAfter(words, slices.Index(words, "TABLE"))
	}
	switch e.Type {
	case "INDEX", "POLICY", "TRIGGER":
		return nameAfter(words, slices.Index(words, "ON"))
	case "RULE":
		if len(words) > 1 && words[1] == "RULE" { // not CREATE OR REPLACE VIEW
			return nameAfter(words, slices.Index(words, "TO"))
		}
	case "STATISTICS":
		if end := slices.Index(words, ";"); end >= 0 {
			words = words[:end]
		}
		for i := len(words) - 1; i > 0; i-- { // an expression may have a FROM of its own
			if words[i] == "FROM" {
				return nameAfter(words, i)
			}
		}
	}
	return relation{}, false
}

func alters(words []string, what ...string) bool {
	return len(words) > len(what) && words[0] == "ALTER" && slices.Equal(words[1:1+len(what)], what)
}

// referenced is the table that a foreign key leads to.
func referenced(e Entry) (relation, bool) {
	words := sqlWords(e.Definition)
	return nameAfter(words, slices.Index(words, "REFERENCES"))
}

// constraintName is what a definition calls the constraint that it adds.
func constraintName(e Entry) string {
	words := sqlWords(e.Definition)
	i := slices.Index(words, "CONSTRAINT")
	if i < 0 || i+1 >= len(words) {
		return ""
	}
	name, _, _ := takeIdent(words[i+1])
	return name
}

// nameAfter is the qualified name behind the word at i.
func nameAfter(words []string, i int) (relation, bool) {
	if i < 0 {
		return relation{}, false
	}
	i++
	if i < len(words) && words[i] == "ONLY" {
		i++
	}
	if i+2 >= len(words) || words[i+1] != "." {
		return relation{}, false
	}
	schema, rest, ok := takeIdent(words[i])
	name, rest2, ok2 := takeIdent(words[i+2])
	return relation{schema, name}, ok && ok2 && rest == "" && rest2 == ""
}

// family is what the pre-data archive says about which tables belong together.
type family struct {
	partitions map[relation][]relation // of a partitioned table
	whole      map[relation]relation   // of a partition: the table that it is a part of
	children   map[relation][]relation // of a table: those that inherit from it
	parents    map[relation][]relation // the other way round
	sequences  map[relation][]relation // of a table: those that it owns or takes defaults from
}

func familyOf(pre *TOC) family {
	f := family{map[relation][]relation{}, map[relation]relation{}, map[relation][]relation{}, map[relation][]relation{}, map[relation][]relation{}}
	byID := map[int]Entry{}
	for _, e := range pre.Entries {
		byID[e.DumpID] = e
	}
	for _, e := range pre.Entries {
		words, self := sqlWords(e.Definition), relation{e.Schema, e.Name}
		switch e.Type {
		case "TABLE ATTACH":
			parent, ok := nameAfter(words, slices.Index(words, "TABLE"))
			part, ok2 := nameAfter(words, slices.Index(words, "PARTITION"))
			if ok && ok2 {
				f.partitions[parent] = append(f.partitions[parent], part)
				f.whole[part] = parent
			}
		case "SEQUENCE": // that of an identity column is made by altering its table
			if table, ok := nameAfter(words, slices.Index(words, "TABLE")); ok && alters(words, "TABLE") {
				f.sequences[table] = append(f.sequences[table], self)
			}
		case "SEQUENCE OWNED BY": // schema.table.column
			if table, ok := nameAfter(words, slices.Index(words, "BY")); ok {
				f.sequences[table] = append(f.sequences[table], self)
			}
		case "TABLE":
			for _, parent := range inherited(words) {
				f.children[parent] = append(f.children[parent], self)
				f.parents[self] = append(f.parents[self], parent)
			}
			f.defaults(self, e, byID)
		case "DEFAULT":
			if table, ok := nameAfter(words, slices.Index(words, "TABLE")); ok {
				f.defaults(table, e, byID)
			}
		}
	}
	return f
}

// defaults adds the sequences that the entry e of a table takes numbers from.
func (f family) defaults(table relation, e Entry, byID map[int]Entry) {
	for _, id := range e.DependsOn {
		if s, ok := byID[id]; ok && s.Type == "SEQUENCE" {
			f.sequences[table] = append(f.sequences[table], relation{s.Schema, s.Name})
		}
	}
}

// inherited are the parents in CREATE TABLE … INHERITS (a.b, c.d).
func inherited(words []string) []relation {
	var parents []relation
	for i := slices.Index(words, "INHERITS") + 1; i > 0 && i < len(words) && words[i] != ")"; i += 4 {
		if parent, ok := nameAfter(words, i); ok {
			parents = append(parents, parent)
		}
	}
	return parents
}

// above are the tables that a partition is a part of, and with inheriting also
// those that a table inherits from, at any distance.
func (f family) above(table relation, inheriting bool) []relation {
	var all []relation
	add := []relation{table}
	for len(add) > 0 {
		next := add[0]
		add = add[1:]
		up := []relation{}
		if whole, ok := f.whole[next]; ok {
			up = append(up, whole)
		}
		if inheriting {
			up = append(up, f.parents[next]...)
		}
		for _, one := range up {
			if !slices.Contains(all, one) {
				all, add = append(all, one), append(add, one)
			}
		}
	}
	return all
}

// below are the partitions of a table, at any distance.
func (f family) below(table relation) []relation {
	var all []relation
	for _, part := range f.partitions[table] {
		all = append(append(all, part), f.below(part)...)
	}
	return all
}
