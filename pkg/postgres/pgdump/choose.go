package pgdump

import (
	"fmt"
	"slices"
	"strings"
)

// Choice is some tables of a backup: the entries of its archives that bring
// exactly them back, into a database with all definitions.
type Choice struct {
	Tables  []string // those that were named and their partitions, as SQL writes them, sorted
	LeftOut []string // what they have in the original and not here, a line each

	// Dump ids in the order of the archives. Of data there may be several archives.
	PreData  []int
	Data     [][]int
	PostData []int

	tables    map[relation]bool // chosen ones
	wholes    map[relation]bool // those that chosen ones are a part of
	parents   map[relation]bool // and those that chosen ones inherit from
	sequences map[relation]bool // that chosen ones take numbers from
	indexes   map[relation]bool // of chosen ones
	family    family
}

// Choose finds what brings the named tables back: their rows with those of their
// partitions, the sequences that they take numbers from, their indexes,
// constraints, triggers, rules, policies and statistics. A foreign key needs the
// table that it leads to. names are written as in SQL, with or without the
// schema; one that is unknown, or means several, is a *TableError.
//
// What a partition has from the table that it is a part of (foreign keys,
// triggers, the sequence of an identity), and what a table inherits, comes with
// it. Whatever the pre-data archive holds comes too, but for large objects.
func Choose(pre *TOC, data []*TOC, post *TOC, names []string) (*Choice, error) {
	c := &Choice{
		tables: map[relation]bool{}, wholes: map[relation]bool{}, parents: map[relation]bool{},
		sequences: map[relation]bool{}, indexes: map[relation]bool{}, family: familyOf(pre),
	}
	tables, others := relationsOf(pre, data)
	for _, name := range names {
		table, err := resolve(name, tables, others)
		if err != nil {
			return nil, err
		}
		for _, t := range append(c.family.below(table), table) {
			c.tables[t] = true
		}
	}
	for t := range c.tables {
		c.Tables = append(c.Tables, sqlName(t))
		for _, whole := range c.family.above(t, false) {
			c.wholes[whole] = true
		}
		for _, owner := range append(c.family.above(t, true), t) {
			c.parents[owner] = true
			for _, s := range c.family.sequences[owner] {
				c.sequences[s] = true
			}
		}
	}
	slices.Sort(c.Tables)
	var whole wholeDatabase
	c.PreData = c.choosePre(pre, &whole)
	for _, toc := range data {
		c.Data = append(c.Data, c.chooseData(toc))
	}
	c.PostData = c.choosePost(post, others, &whole)
	c.around(tables, data)
	if line := whole.String(); line != "" {
		c.LeftOut = append(c.LeftOut, line)
	}
	return c, nil
}

// relationsOf are the tables that can be chosen, in the order of their names,
// and everything else that has a name of that kind.
func relationsOf(pre *TOC, data []*TOC) (tables []relation, others map[relation]string) {
	others = map[relation]string{}
	for _, e := range pre.Entries {
		r := relation{e.Schema, e.Name}
		switch e.Type {
		case "TABLE":
			tables = append(tables, r)
		case "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "SEQUENCE":
			others[r] = strings.ToLower(e.Type)
		}
	}
	for _, toc := range data { // of an extension there are rows, and no definition
		for _, e := range toc.TableData() {
			tables = append(tables, relation{e.Schema, e.Name})
		}
	}
	slices.SortFunc(tables, func(a, b relation) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(tables), others
}

// choosePre takes all but large objects, which would come back empty.
func (c *Choice) choosePre(pre *TOC, whole *wholeDatabase) []int {
	ids, dropped := []int{}, map[int]bool{}
	for _, e := range pre.Entries {
		large := strings.HasPrefix(e.Type, "BLOB")
		if large {
			whole.largeObjects = true
		}
		if large || attached(e) && slices.ContainsFunc(e.DependsOn, func(id int) bool { return dropped[id] }) {
			dropped[e.DumpID] = true
			continue
		}
		ids = append(ids, e.DumpID)
	}
	return ids
}

// attached reports whether an entry says something about another one.
func attached(e Entry) bool {
	return e.Type == "COMMENT" || e.Type == "ACL" || e.Type == "SECURITY LABEL"
}

// ofArchive are entries that every archive has: how its text is to be read.
func ofArchive(e Entry) bool {
	switch e.Type {
	case "ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE", "DATABASE PROPERTIES":
		return true
	}
	return false
}

func (c *Choice) chooseData(data *TOC) []int {
	ids := []int{}
	for _, e := range data.Entries {
		r := relation{e.Schema, e.Name}
		if ofArchive(e) || e.Type == "TABLE DATA" && c.tables[r] || e.Type == "SEQUENCE SET" && c.sequences[r] {
			ids = append(ids, e.DumpID)
		}
	}
	return ids
}

// choosePost goes through the archive in its order: what an entry depends on
// stands before it.
func (c *Choice) choosePost(post *TOC, others map[relation]string, whole *wholeDatabase) []int {
	ids, kept, here := []int{}, map[int]bool{}, map[int]bool{}
	for _, e := range post.Entries {
		here[e.DumpID] = true
	}
	for _, e := range post.Entries {
		needs := slices.DeleteFunc(slices.Clone(e.DependsOn), func(id int) bool { return !here[id] })
		complete := !slices.ContainsFunc(needs, func(id int) bool { return !kept[id] })
		if c.wants(e, complete, len(needs) > 0, others, whole) {
			kept[e.DumpID] = true
			ids = append(ids, e.DumpID)
		}
	}
	return ids
}

// wants decides on one entry of the post-data archive. complete says that
// everything is wanted that it depends on, depends that there is any.
func (c *Choice) wants(e Entry, complete, depends bool, others map[relation]string, whole *wholeDatabase) bool {
	table, ok := tableOf(e)
	mine := ok && c.tables[table]
	switch e.Type {
	case "INDEX":
		if mine {
			c.indexes[relation{e.Schema, e.Name}] = true
		}
		return mine
	case "CONSTRAINT":
		if mine {
			c.indexes[relation{table[0], constraintName(e)}] = true // the index is called like the constraint
		}
		return mine
	case "INDEX ATTACH":
		words := sqlWords(e.Definition)
		parent, _ := nameAfter(words, slices.Index(words, "INDEX"))
		part, _ := nameAfter(words, slices.Index(words, "PARTITION"))
		return c.indexes[parent] && c.indexes[part]
	case "FK CONSTRAINT":
		return ok && c.wantsKey(e, table)
	case "CHECK CONSTRAINT":
		// That of a domain belongs to no table.
		return !ok || c.parents[table]
	case "TRIGGER", "RULE":
		if mine || e.Type == "TRIGGER" && c.wholes[table] {
			return true
		}
		if ok && others[table] != "view" {
			return false
		}
	case "ROW SECURITY", "POLICY", "STATISTICS":
		return mine
	case "COMMENT", "ACL", "SECURITY LABEL":
		return depends && complete
	case "MATERIALIZED VIEW DATA":
		whole.unfilled = append(whole.unfilled, sqlName(relation{e.Schema, e.Name}))
		return false
	case "STATISTICS DATA": // is gathered anew
		return false
	case "DEFAULT ACL":
		return true
	}
	if ofArchive(e) {
		return true
	}
	if whole.has(e) {
		return false
	}
	// Views, functions and the like that pg_dump makes after the data, for they
	// need a primary key; and what views have.
	if late(e) && complete {
		return true
	}
	if late(e) {
		c.leaveOut("%s: it needs a key of a table that is not chosen", described(e))
	} else {
		c.leaveOut("%s: this forgectl does not know what that needs", described(e))
	}
	return false
}

// late are kinds of entries that belong to no table.
func late(e Entry) bool {
	switch e.Type {
	case "RULE", "TRIGGER", "VIEW", "MATERIALIZED VIEW", "FUNCTION", "PROCEDURE", "AGGREGATE", "OPERATOR", "CAST":
		return true
	}
	return false
}

func described(e Entry) string {
	if name, ok := strings.CutSuffix(e.Name, " _RETURN"); ok && e.Type == "RULE" {
		return "the query of view " + sqlName(relation{e.Schema, name})
	}
	if strings.Contains(e.Name, "(") || e.Schema == "" { // a function, with its arguments
		return strings.TrimSpace(strings.ToLower(e.Type) + " " + strings.TrimPrefix(e.Schema+"."+e.Name, "."))
	}
	return strings.ToLower(e.Type) + " " + sqlName(relation{e.Schema, e.Name})
}

// wantsKey: the rows that a foreign key leads to must be there. That of a
// partitioned table holds for each of its partitions.
func (c *Choice) wantsKey(e Entry, table relation) bool {
	if !c.tables[table] && !c.wholes[table] {
		return false
	}
	to, ok := referenced(e)
	if ok && c.tables[to] {
		return true
	}
	c.leaveOut("foreign key %s of %s: it leads to %s, which is not chosen", sqlIdent(constraintName(e)), sqlName(table), sqlName(to))
	return false
}

func (c *Choice) leaveOut(format string, args ...any) {
	c.LeftOut = append(c.LeftOut, fmt.Sprintf(format, args...))
}

// around names what an operator could expect of the tables themselves.
func (c *Choice) around(tables []relation, data []*TOC) {
	rows := map[relation]bool{}
	for _, toc := range data {
		for _, e := range toc.TableData() {
			rows[relation{e.Schema, e.Name}] = true
		}
	}
	empty := 0
	for _, t := range tables {
		if !c.tables[t] {
			empty++
			continue
		}
		if _, partitioned := c.family.partitions[t]; !partitioned && !rows[t] {
			c.leaveOut("rows of %s: the backup has none", sqlName(t))
		}
		for _, child := range c.family.children[t] {
			if !c.tables[child] {
				c.leaveOut("rows of %s, which inherits from %s and is not chosen", sqlName(child), sqlName(t))
			}
		}
	}
	if empty > 0 {
		c.leaveOut("%d other tables: they are empty, without indexes, keys, triggers and rules", empty)
	}
}

// wholeDatabase is what belongs to no table and does not come along.
type wholeDatabase struct {
	unfilled                              []string // materialized views
	triggers, publications, subscriptions []string
	largeObjects                          bool
}

// has takes an entry that belongs to the whole database.
func (w *wholeDatabase) has(e Entry) bool {
	switch {
	case e.Type == "EVENT TRIGGER":
		w.triggers = append(w.triggers, sqlIdent(e.Name))
	case e.Type == "PUBLICATION":
		w.publications = append(w.publications, sqlIdent(e.Name))
	case e.Type == "SUBSCRIPTION":
		w.subscriptions = append(w.subscriptions, sqlIdent(e.Name))
	case strings.HasPrefix(e.Type, "PUBLICATION "), strings.HasPrefix(e.Type, "SUBSCRIPTION "):
	default:
		return false
	}
	return true
}

func (w *wholeDatabase) String() string {
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{
		{"the content of materialized view", w.unfilled}, {"event trigger", w.triggers},
		{"publication", w.publications}, {"subscription", w.subscriptions},
	} {
		if len(p.names) > 0 {
			parts = append(parts, p.what+" "+strings.Join(p.names, ", "))
		}
	}
	if w.largeObjects {
		parts = append(parts, "large objects")
	}
	return strings.Join(parts, "; ")
}
