package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/filecolumns"
)

// Files is what a drill found of the files that the database names.
type Files struct {
	Named   int64    // values that were looked for
	Missing int64    // of these, not in the media set
	Names   []string // the first of the missing ones, as column: name
	Orphans int64    // files of the media set that no column names
}

// maxMissing bounds Files.Names.
const maxMissing = 20

// Err is a *FilesError when files are missing.
func (f *Files) Err() error {
	if f == nil || f.Missing == 0 {
		return nil
	}
	return &FilesError{*f}
}

// FilesError means that the database names files which are not in the media set. The sets themselves are as they were
// written: they stay good, because no other may be better.
type FilesError struct{ Files }

func (e *FilesError) Error() string {
	text := fmt.Sprintf("%d of %d files that the database names are not in the media set: %s", e.Missing, e.Named, strings.Join(e.Names, ", "))
	if more := e.Missing - int64(len(e.Names)); more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

// fileCheck knows the files of a media set by the beginning of the hash of their path: a million of them are some 50 MB.
type fileCheck struct {
	Files
	columns []filecolumns.Column
	known   map[[16]byte]bool // true: the database names it
	looked  bool
}

// fileCheck reads the index of the media set among parts; nil when this is no drill, when no columns are configured, or
// when there are no media to look into.
func (o Options) fileCheck(ctx context.Context, parts []catalog.Part, v *Verdict) (*fileCheck, error) {
	if o.Level != catalog.LevelDrill || len(o.Columns) == 0 {
		return nil, nil
	}
	i := slices.IndexFunc(parts, func(p catalog.Part) bool { return p.Ref.Kind == catalog.KindMedia && p.Problem == nil })
	if i < 0 {
		return nil, nil
	}
	c := &fileCheck{columns: o.Columns, known: map[[16]byte]bool{}}
	err := o.stage(v, "read index", func() error { return c.readIndex(ctx, o.Catalog, parts[i].Set) })
	if errors.Is(err, catalog.ErrDamaged) || errors.Is(err, media.ErrIndex) {
		return nil, nil // the verdict on the media set says so
	}
	return c, err
}

func (c *fileCheck) readIndex(ctx context.Context, from *catalog.Catalog, set catalog.Set) error {
	if set.Manifest == nil {
		return nil
	}
	i := slices.IndexFunc(set.Manifest.Artifacts, func(a catalog.Artifact) bool { return strings.HasPrefix(a.Name, media.IndexName) })
	if i < 0 {
		return &catalog.DamageError{Ref: set.Ref, Artifact: media.IndexName, Kind: catalog.DamageMissing}
	}
	r, err := artifact.Open(ctx, from, set.Ref, set.Manifest.Artifacts[i], nil, nil)
	if err != nil {
		return err
	}
	defer r.Close()
	index := media.NewIndexReader(r)
	for {
		e, err := index.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if e.Type == media.File || e.Type == media.Symlink {
			c.known[keyOf(e.Path)] = false
		}
	}
}

func keyOf(name string) [16]byte {
	sum := sha256.Sum256([]byte(name))
	return [16]byte(sum[:16])
}

// read looks for every value of the columns among the files.
func (c *fileCheck) read(ctx context.Context, e *postgres.Endpoint, v *Verdict) error {
	conn, err := e.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, column := range c.columns {
		err := filecolumns.Read(ctx, conn, column, func(name string) error {
			c.look(column, name)
			return nil
		})
		if errors.Is(err, filecolumns.ErrNoColumn) {
			v.Warnings = append(v.Warnings, fmt.Sprintf("media.columns: %v", err))
			continue
		}
		if err != nil {
			return err
		}
		c.looked = true
	}
	for _, named := range c.known {
		if !named {
			c.Orphans++
		}
	}
	return nil
}

func (c *fileCheck) look(column filecolumns.Column, name string) {
	c.Named++
	key := keyOf(path.Clean(name))
	if _, ok := c.known[key]; ok {
		c.known[key] = true
		return
	}
	c.Missing++
	if len(c.Names) < maxMissing {
		c.Names = append(c.Names, fmt.Sprintf("%s: %.200q", column, name))
	}
}
