package pgdump

import (
	"cmp"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// TableError means that a name does not say which table is meant.
type TableError struct {
	Name       string // as it was given
	Why        string // "is not in the backup", …
	Ambiguous  bool
	Candidates []string // what would be understood, the likeliest first
}

func (e *TableError) Error() string { return "table " + e.Name + " " + e.Why }

// TableName is how a table is written for Choose: quoted only where it must be.
func TableName(schema, name string) string { return sqlName(relation{schema, name}) }

// sqlName is a name as an operator would write it: quoted only where it must be.
func sqlName(r relation) string { return sqlIdent(r[0]) + "." + sqlIdent(r[1]) }

func sqlIdent(name string) string {
	plain, rest, ok := takeIdent(name)
	if ok && rest == "" && plain == name && (name[0] == '_' || name[0] >= 'a' && name[0] <= 'z' || name[0] >= 0x80) {
		return name
	}
	return postgres.QuoteIdent(name)
}

// resolve finds the one table that text names: as name or schema.name in SQL, or
// written just as the table is called, or in other letter case, in this order.
// So what sqlName writes is always understood.
func resolve(text string, tables []relation, others map[relation]string) (relation, error) {
	for _, names := range []func(relation) bool{asSQL(text), writtenAs(text), foldedTo(text)} {
		var found []relation
		for _, t := range tables {
			if names(t) {
				found = append(found, t)
			}
		}
		if len(found) == 1 {
			return found[0], nil
		}
		if len(found) > 1 {
			e := &TableError{Name: text, Why: "could be any of several", Ambiguous: true}
			for _, t := range found {
				e.Candidates = append(e.Candidates, sqlName(t))
			}
			return relation{}, e
		}
		for r, kind := range others {
			if names(r) {
				return relation{}, &TableError{Name: text, Why: "is no table, but a " + kind, Candidates: likeliest(text, tables)}
			}
		}
	}
	return relation{}, &TableError{Name: text, Why: "is not in the backup", Candidates: likeliest(text, tables)}
}

// asSQL takes text for SQL: small letters, or quoted.
func asSQL(text string) func(relation) bool {
	var parts []string
	rest, ok := text, true
	for ok {
		var part string
		part, rest, ok = takeIdent(rest)
		parts = append(parts, part)
		if rest == "" || !strings.HasPrefix(rest, ".") {
			break
		}
		rest = rest[1:]
	}
	if !ok || rest != "" || len(parts) > 2 {
		return func(relation) bool { return false }
	}
	return func(r relation) bool {
		return parts[len(parts)-1] == r[1] && (len(parts) == 1 || parts[0] == r[0])
	}
}

func writtenAs(text string) func(relation) bool {
	return func(r relation) bool { return text == r[1] || text == r[0]+"."+r[1] }
}

func foldedTo(text string) func(relation) bool { return writtenAs(strings.ToLower(text)) }

// likeliest sorts the names of tables: first those that look like text.
func likeliest(text string, tables []relation) []string {
	text = strings.ToLower(text)
	if i := strings.LastIndexByte(text, '.'); i >= 0 {
		text = text[i+1:]
	}
	text = strings.Trim(text, `"`)
	unlike := func(r relation) int {
		name := strings.ToLower(r[1])
		if text != "" && (strings.Contains(name, text) || len(name) > 3 && strings.Contains(text, name)) {
			return 0
		}
		return 1
	}
	tables = slices.Clone(tables)
	slices.SortStableFunc(tables, func(a, b relation) int { return cmp.Compare(unlike(a), unlike(b)) })
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = sqlName(t)
	}
	return names
}
