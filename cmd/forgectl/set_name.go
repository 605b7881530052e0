package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// latest is the word for the newest set of a group.
const latest = "latest"

// setNaming is what help says about the names of sets.
const setNaming = `An ID alone is a set of the configured database. DATABASE/ID, media/ID, config/ID and
full/ID name any, and so does "latest" in place of an ID: media/latest. A database that
is called like a kind is written database/NAME.`

// setName is a set as an operator names it: one of a group, or its newest.
type setName struct {
	group catalog.Group
	id    catalog.ID // "": the newest
}

func (n setName) String() string {
	if n.id == "" {
		return n.group.String() + "/" + latest
	}
	return catalog.Ref{Group: n.group, ID: n.id}.String()
}

// parseSet reads what an operator wrote. An id alone, or latest, is a set of the
// configured database; GROUP/ID and GROUP/latest name any, where GROUP is media,
// config, full, a database, or database/NAME.
func (a *App) parseSet(name string) (setName, error) {
	group, err := a.databaseGroup()
	if err != nil {
		return setName{}, err
	}
	return parseSetIn(group, name)
}

// parseSetOf is parseSet for commands that take sets of one kind only: an id alone,
// or latest, is one of that kind, and one of another kind is refused.
func (a *App) parseSetOf(kind catalog.Kind, name string) (setName, error) {
	group := catalog.Group{Kind: kind}
	if kind == catalog.KindDatabase {
		var err error
		if group, err = a.databaseGroup(); err != nil {
			return setName{}, err
		}
	}
	set, err := parseSetIn(group, name)
	if err == nil {
		err = set.mustBe(kind)
	}
	return set, err
}

// mustBe refuses a set of another kind than the command works on.
func (n setName) mustBe(kind catalog.Kind) error {
	if n.group.Kind == kind {
		return nil
	}
	err := unknown("%s is a set of kind %s, and this is about sets of kind %s", n, n.group.Kind, kind)
	if n.group.Kind == catalog.KindBase {
		return withHint(err, "forgectl backup list")
	}
	return withHint(err, "forgectl restore %s %s", restoreVerb(n.group.Kind), proc.ShellWord(n.String()))
}

// restoreVerb is the subcommand of restore, and of backup, for a kind of sets.
func restoreVerb(kind catalog.Kind) string {
	if kind == catalog.KindDatabase {
		return "db"
	}
	return string(kind)
}

// parseSetIn reads a name; an id alone, or latest, is a set of the group.
func parseSetIn(group catalog.Group, name string) (setName, error) {
	if name == latest {
		return setName{group: group}, nil
	}
	if prefix, ok := strings.CutSuffix(name, "/"+latest); ok {
		if g, err := catalog.ParseGroup(prefix); err == nil {
			return setName{group: g}, nil
		}
	}
	ref, err := catalog.ParseRefIn(group, name)
	if err != nil {
		return setName{}, withHint(withCode(exitUnknown, fmt.Errorf("%q is neither an id, such as 20261123T020000Z, nor DATABASE/ID, media/ID, config/ID or full/ID", name)), "forgectl backup list")
	}
	return setName{ref.Group, ref.ID}, nil
}

// parseSource is parseSet for commands that take a file as well. What is a set's
// name is one, unless it is written as a path.
func (a *App) parseSource(name string) (set setName, file string, err error) {
	path := strings.HasPrefix(name, "/") || strings.HasPrefix(name, "./") || strings.HasPrefix(name, "../")
	if !path {
		if set, err = a.parseSet(name); err == nil {
			return set, "", set.mustBe(catalog.KindDatabase)
		}
	}
	if _, statErr := os.Stat(name); statErr != nil {
		if path {
			err = withHint(withCode(exitUnknown, fmt.Errorf("open %s: %w", name, plainPath(statErr))), "name a file that is there, or a set: forgectl backup list")
		}
		return set, "", err
	}
	group, err := a.databaseGroup()
	return setName{group: group}, name, err
}
