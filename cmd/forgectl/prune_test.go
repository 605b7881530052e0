package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// publishSets publishes small sets with given ids, in ascending order, in the
// directory "repository":
//
//	sets GROUP ID[:CHECK]...
//
// GROUP is as in names of sets, such as bmad_forge or media. CHECK is failed,
// drilled, suspect or accept, or the set that a full one refers to.
func publishSets(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sets GROUP ID[:CHECK]...")
	}
	place, err := local.Open(ts.MkAbs("repository"), local.Options{})
	ts.Check(err)
	defer func() { _ = place.Close() }()
	var now time.Time
	c := catalog.New(place, catalog.Options{Now: func() time.Time { return now }, Host: "web1"})
	for _, arg := range args[1:] {
		id, mark, _ := strings.Cut(arg, ":")
		ref, err := catalog.ParseRef(args[0] + "/" + id)
		ts.Check(err)
		now = ref.ID.Time()
		ts.Check(publishSet(c, ref.Group, mark))
		if check := (catalog.Check{What: mark, Reason: "half the rows"}); mark != "" && ref.Kind != catalog.KindFull {
			switch mark {
			case "failed":
				check = catalog.Check{What: catalog.CheckVerify, Level: catalog.LevelDrill, Problems: []string{"it broke"}}
			case "drilled":
				check = catalog.Check{What: catalog.CheckVerify, Level: catalog.LevelDrill, OK: true}
			}
			ts.Check(c.AddCheck(context.Background(), ref, check))
		}
	}
}

func publishSet(c *catalog.Catalog, g catalog.Group, reference string) error {
	ctx := context.Background()
	if g.Kind == catalog.KindMedia {
		return publishFile(ctx, c)
	}
	d, err := c.Begin(ctx, g)
	if err != nil {
		return err
	}
	defer func() { _ = d.Discard(ctx) }()
	var m catalog.Manifest
	if g.Kind == catalog.KindFull {
		m.References = []string{reference}
	}
	b, err := d.Put(ctx, "20-data.dump.zst", func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Repeat("x", 2000))
		return err
	})
	if err != nil {
		return err
	}
	m.Artifacts = []catalog.Artifact{{Name: b.Name}}
	_, err = d.Publish(ctx, m)
	return err
}

// publishFile publishes a media set of one file.
func publishFile(ctx context.Context, c *catalog.Catalog) error {
	dir, err := os.MkdirTemp("", "media")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte(strings.Repeat("x", 2000)), 0o600); err != nil {
		return err
	}
	_, err = backup.Media(ctx, backup.MediaOptions{SetOptions: backup.SetOptions{Catalog: c}, Source: dir})
	return err
}
