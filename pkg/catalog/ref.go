package catalog

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Kind says what a set holds. It is also the name of the directory that the sets of that kind lie under.
type Kind string

// The kinds of sets.
const (
	KindDatabase Kind = "database" // one database: database/<escaped name>/<id>
	KindMedia    Kind = "media"    // the uploaded files: media/<id>
	KindConfig   Kind = "config"   // the configuration files of the host: config/<id>
	KindFull     Kind = "full"     // references to the sets of one run: full/<id>
	KindBase     Kind = "base"     // a physical copy of the whole server: base/<id>
)

// Kinds lists all kinds.
func Kinds() []Kind { return []Kind{KindDatabase, KindMedia, KindConfig, KindFull, KindBase} }

// Valid reports whether k is one of Kinds.
func (k Kind) Valid() bool {
	switch k {
	case KindDatabase, KindMedia, KindConfig, KindFull, KindBase:
		return true
	}
	return false
}

// Group is the sets that replace one another: "latest", retention and ages count within one. Database is
// set for KindDatabase and for no other.
type Group struct {
	Kind     Kind
	Database string
}

// Dir is the group's directory in the store: "database/<escaped name>" or the kind.
func (g Group) Dir() string {
	if g.Kind == KindDatabase {
		return string(KindDatabase) + "/" + EscapeName(g.Database)
	}
	return string(g.Kind)
}

// String is the database's escaped name, or the kind; "database/<escaped name>" for a database that is
// named like a kind.
func (g Group) String() string {
	if g.Kind == KindDatabase && !Kind(g.Database).Valid() {
		return EscapeName(g.Database)
	}
	return g.Dir()
}

// ParseGroup reads the form that String writes, and the longer "database/<escaped name>" for every database.
// Everything else is ErrInvalid.
func ParseGroup(s string) (Group, error) {
	if k := Kind(s); k.Valid() && k != KindDatabase {
		return Group{Kind: k}, nil
	}
	name, err := UnescapeName(strings.TrimPrefix(s, string(KindDatabase)+"/"))
	g := Group{Kind: KindDatabase, Database: name}
	if err != nil || g.Validate() != nil {
		return Group{}, fmt.Errorf("group %q: %w", s, ErrInvalid)
	}
	return g, nil
}

// Validate reports, as ErrInvalid, a group that no directory can stand for: an unknown kind, a database
// where none belongs, a missing database, a name that is not UTF-8 or holds NUL.
func (g Group) Validate() error {
	switch {
	case !g.Kind.Valid():
		return fmt.Errorf("kind %q: %w", string(g.Kind), ErrInvalid)
	case g.Kind != KindDatabase && g.Database != "":
		return fmt.Errorf("database %q of kind %s: %w", g.Database, g.Kind, ErrInvalid)
	case g.Kind == KindDatabase && (g.Database == "" || !utf8.ValidString(g.Database) || strings.Contains(g.Database, "\x00")):
		return fmt.Errorf("database name %q: %w", g.Database, ErrInvalid)
	}
	return nil
}

// Ref names one set in a repository.
type Ref struct {
	Group
	ID ID
}

// Dir is the set's directory in the store.
func (r Ref) Dir() string { return r.Group.Dir() + "/" + string(r.ID) }

// String is what ParseRef reads: "bmad_forge/20261123T020000Z", "media/20261123T020000Z", and
// "database/media/20261123T020000Z" for a database that is named like a kind.
func (r Ref) String() string { return r.Group.String() + "/" + string(r.ID) }

// ParseRef reads the form that String writes, and the longer "database/<escaped name>/<id>" for every
// database. Everything else is ErrInvalid.
func ParseRef(s string) (Ref, error) {
	cut := max(strings.LastIndexByte(s, '/'), 0)
	group, tail := s[:cut], strings.TrimPrefix(s[cut:], "/")
	id, err := ParseID(tail)
	if group == "" || err != nil {
		return Ref{}, fmt.Errorf("set %q: %w", s, ErrInvalid)
	}
	g, err := ParseGroup(group)
	if err != nil {
		return Ref{}, fmt.Errorf("set %q: %w", s, ErrInvalid)
	}
	return Ref{g, id}, nil
}

// Validate is Group.Validate, and the id must be one that ParseID accepts.
func (r Ref) Validate() error {
	if err := r.Group.Validate(); err != nil {
		return err
	}
	_, err := ParseID(string(r.ID))
	return err
}
