package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/archive"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/configset"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// ConfigOptions say which configuration files to bring back, and where to.
type ConfigOptions struct {
	Catalog    *catalog.Catalog
	Set        catalog.Set
	Unlock     seal.Unlocker // nil does for a set that is not sealed
	Provenance provenance.Policy

	Paths []string // absolute: these and what is below them; none: everything
	// Aside is the directory below which what is replaced is kept.
	Aside string
	// Confirm is asked before anything is changed; an error ends the restore.
	Confirm func(context.Context, ConfigPlan) error

	Progress func(stage string, done, total int64)
	Logger   *slog.Logger
	Now      func() time.Time
	Step     func(name string) // tests interfere there
}

// ConfigState is what a restore would do with an entry.
type ConfigState string

// The states.
const (
	ConfigSame     ConfigState = "same"
	ConfigAdd      ConfigState = "add"
	ConfigReplace  ConfigState = "replace"  // the content, or what a link points to
	ConfigDress    ConfigState = "dress"    // owner, mode or attributes only
	ConfigConflict ConfigState = "conflict" // one of them is a directory, or what is there is no file
)

// ConfigChange is an entry of the set, next to what is there.
type ConfigChange struct {
	archive.Entry // of the set
	State         ConfigState
	Live          *archive.Entry // nil: there is none
	What          []string       // what differs: "content", "mode 0640 -> 0600", …
	Unread        string         // why nobody knows what is there, and it cannot be kept; "": it can
}

// Name is the absolute path.
func (c ConfigChange) Name() string { return "/" + c.Path }

// ConfigPlan is what a restore would do.
type ConfigPlan struct {
	Set       catalog.Set
	Signature provenance.Finding
	Entries   []ConfigChange // of the set, as far as chosen
	LeftAlone []string       // what is there, below directories of the set, and not in it
	Unstored  []string       // what the set names and does not hold
	Warnings  []string
}

// Changes are the entries that a restore would touch.
func (p ConfigPlan) Changes() []ConfigChange {
	var all []ConfigChange
	for _, c := range p.Entries {
		if c.State != ConfigSame {
			all = append(all, c)
		}
	}
	return all
}

// ConfigPathError is a path that the set does not hold.
type ConfigPathError struct{ Path string }

func (e *ConfigPathError) Error() string { return e.Path + " is not in the set" }

// ConfigConflictError means that a file would have to take a directory's place, or the other way round.
type ConfigConflictError struct{ Changes []ConfigChange }

func (e *ConfigConflictError) Error() string {
	c := e.Changes[0]
	text := fmt.Sprintf("%s: the set has a %s, and here is a %s", c.Name(), c.Type, c.Live.Type)
	if n := len(e.Changes) - 1; n > 0 {
		text += fmt.Sprintf("; and %d more like it", n)
	}
	return text
}

// ConfigUnreadError means that something would be replaced that cannot be read, and so not be kept.
type ConfigUnreadError struct{ Changes []ConfigChange }

func (e *ConfigUnreadError) Error() string {
	c := e.Changes[0]
	text := fmt.Sprintf("%s: what is there cannot be read, and so not be kept: %s", c.Name(), c.Unread)
	if n := len(e.Changes) - 1; n > 0 {
		text += fmt.Sprintf("; and %d more like it", n)
	}
	return text
}

// conflict is the *ConfigConflictError or *ConfigUnreadError of a plan, if it has one.
func (p ConfigPlan) conflict() error {
	conflicts := slices.DeleteFunc(p.Changes(), func(c ConfigChange) bool { return c.State != ConfigConflict })
	if len(conflicts) > 0 {
		return &ConfigConflictError{conflicts}
	}
	unread := slices.DeleteFunc(p.Changes(), func(c ConfigChange) bool { return c.Unread == "" })
	if len(unread) > 0 {
		return &ConfigUnreadError{unread}
	}
	return nil
}

func (o ConfigOptions) withDefaults() ConfigOptions {
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	return o
}

func (o ConfigOptions) reader() configset.Reader {
	return configset.Reader{Catalog: o.Catalog, Set: o.Set, Unlock: o.Unlock}
}

// prove hashes and decodes the whole set, before anything of it is believed, and reads its index.
func (o ConfigOptions) prove(ctx context.Context) (index []archive.Entry, p ConfigPlan, err error) {
	p.Set = o.Set
	if o.Set.Kind != catalog.KindConfig {
		return nil, p, fmt.Errorf("%s: no set of configuration files", o.Set.Ref)
	}
	if o.Set.Problem != nil {
		return nil, p, o.Set.Problem
	}
	reader := o.reader()
	if reader.Sealed() && o.Unlock == nil {
		return nil, p, fmt.Errorf("%s: %w", o.Set.Ref, seal.ErrNoSecretKey)
	}
	if p.Signature, err = o.Provenance.Examine(ctx, o.Catalog, o.Set); err == nil {
		err = p.Signature.Damage
	}
	if err != nil {
		return nil, p, err
	}
	if p.Signature.Warning != "" {
		p.Warnings = append(p.Warnings, p.Signature.Warning)
	}
	damaged, err := dumpset.Reader{Catalog: o.Catalog, Set: o.Set}.Hash(ctx)
	if err := errors.Join(append(damaged, err)...); err != nil {
		return nil, p, err
	}
	if index, err = reader.Index(ctx); err == nil {
		err = reader.Each(ctx, index, nil)
	}
	return index, p, err
}

// chosen reports whether an entry was asked for, and finds paths that are not in the set.
func (o ConfigOptions) chosen(index []archive.Entry) (func(archive.Entry) bool, error) {
	var names []string
	for _, path := range o.Paths {
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("%q: %w", path, archive.ErrPath)
		}
		name := strings.TrimPrefix(filepath.Clean(path), "/")
		if name != "" && !slices.ContainsFunc(index, func(e archive.Entry) bool { return e.Stored() && archive.Below(e.Path, name) }) {
			return nil, &ConfigPathError{filepath.Clean(path)}
		}
		names = append(names, name)
	}
	return func(e archive.Entry) bool {
		return len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return name == "" || archive.Below(e.Path, name) })
	}, nil
}

// PlanConfig compares the set with what is there, and changes nothing. The whole set is read.
func PlanConfig(ctx context.Context, o ConfigOptions) (ConfigPlan, error) {
	p, _, err := o.withDefaults().plan(ctx)
	return p, err
}

func (o ConfigOptions) plan(ctx context.Context) (p ConfigPlan, index []archive.Entry, err error) {
	if index, p, err = o.prove(ctx); err != nil {
		return p, nil, err
	}
	chosen, err := o.chosen(index)
	if err != nil {
		return p, nil, err
	}
	live, err := archive.Pack(ctx, io.Discard, roots(index), archive.PackOptions{})
	if err != nil {
		return p, nil, fmt.Errorf("look at what is there: %w", err)
	}
	for _, reason := range live.Unread {
		p.Warnings = append(p.Warnings, "what is there could not be read: "+reason)
	}
	owners := newOwners()
	there := byPath(live.Entries)
	unread := slices.DeleteFunc(slices.Clone(live.Entries), func(e archive.Entry) bool { return e.Problem == "" })
	for i, e := range index {
		wanted := chosen(e)
		switch {
		case !e.Stored():
			if wanted {
				p.Unstored = append(p.Unstored, unstored(e))
			}
			continue
		case !wanted && !(e.Type == archive.Dir && there[e.Path] == nil && leadsTo(index[i+1:], e.Path, chosen)):
			continue
		}
		c := compareEntry(e, there[e.Path], owners)
		c.Unread = hidden(e, unread)
		p.Entries = append(p.Entries, c)
	}
	inSet := byPath(index)
	for _, e := range live.Entries {
		if e.Type != archive.Missing && (inSet[e.Path] == nil || !inSet[e.Path].Stored()) && chosen(e) {
			p.LeftAlone = append(p.LeftAlone, "/"+e.Path)
		}
	}
	p.Warnings = append(p.Warnings, owners.warnings()...)
	return p, index, nil
}

// hidden is why what is at the place of an entry of the set could not be read: itself, or a directory above it. Of a
// directory only owner, mode and attributes are changed.
func hidden(e archive.Entry, unread []archive.Entry) string {
	for _, u := range unread {
		if archive.Below(e.Path, u.Path) && (u.Path != e.Path || e.Type != archive.Dir || u.Type != archive.Dir) {
			return u.Problem
		}
	}
	return ""
}

// leadsTo reports whether something below a directory was chosen.
func leadsTo(rest []archive.Entry, dir string, chosen func(archive.Entry) bool) bool {
	for _, e := range rest {
		if !archive.Below(e.Path, dir) {
			return false
		}
		if e.Stored() && chosen(e) {
			return true
		}
	}
	return false
}

func unstored(e archive.Entry) string {
	if e.Problem != "" {
		return "/" + e.Path + ": " + e.Problem
	}
	return "/" + e.Path + ": " + string(e.Type)
}

// roots are the stored paths that no stored directory holds: what was named when the set was made.
func roots(index []archive.Entry) []string {
	var all []string
	for _, e := range index {
		if e.Stored() && (len(all) == 0 || !archive.Below(e.Path, all[len(all)-1][1:])) {
			all = append(all, "/"+e.Path)
		}
	}
	return all
}

func byPath(entries []archive.Entry) map[string]*archive.Entry {
	all := make(map[string]*archive.Entry, len(entries))
	for i := range entries {
		if entries[i].Type != archive.Missing {
			all[entries[i].Path] = &entries[i]
		}
	}
	return all
}

// compareEntry says what makes an entry of what is there. Times do not count.
func compareEntry(e archive.Entry, live *archive.Entry, owners *owners) ConfigChange {
	c := ConfigChange{Entry: e, Live: live, State: ConfigSame}
	if live == nil {
		c.State = ConfigAdd
		return c
	}
	replaceable := func(t archive.Type) bool { return t == archive.File || t == archive.Symlink }
	switch {
	case e.Type != live.Type && (!replaceable(e.Type) || !replaceable(live.Type)):
		c.State = ConfigConflict
		return c
	case e.Type != live.Type:
		c.What = append(c.What, fmt.Sprintf("%s in place of a %s", e.Type, live.Type))
	case e.Target != live.Target:
		c.What = append(c.What, fmt.Sprintf("%s -> %s", live.Target, e.Target))
	case e.SHA256 != live.SHA256:
		c.What = append(c.What, "content")
	}
	if len(c.What) > 0 {
		c.State = ConfigReplace
	}
	if e.Type != archive.Symlink && live.Type != archive.Symlink {
		if e.Mode != live.Mode {
			c.What = append(c.What, fmt.Sprintf("mode %04o -> %04o", live.Mode, e.Mode))
		}
		if len(e.Xattrs)+len(live.Xattrs) > 0 && e.Link == "" && live.Link == "" && !sameAttributes(e, *live) {
			c.What = append(c.What, "extended attributes")
		}
	}
	if uid, gid := owners.of(e); owners.permitted && (uid != live.UID || gid != live.GID) {
		c.What = append(c.What, fmt.Sprintf("owner %s -> %s", ownerName(live.User, live.UID, live.Group, live.GID), ownerName(e.User, uid, e.Group, gid)))
	}
	if c.State == ConfigSame && len(c.What) > 0 {
		c.State = ConfigDress
	}
	return c
}

func sameAttributes(a, b archive.Entry) bool {
	b.Path, b.Type, b.Size, b.Mode, b.UID, b.GID, b.User, b.Group, b.MTime, b.Target, b.Link, b.SHA256 = a.Path, a.Type, a.Size, a.Mode, a.UID, a.GID, a.User, a.Group, a.MTime, a.Target, a.Link, a.SHA256
	return a.Same(b)
}
