package main

import (
	"context"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// publishMedia makes a media set of a directory, with the id given, in the
// directory "repository": mediaset ID DIR
func publishMedia(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mediaset ID DIR")
	}
	place, err := local.Open(ts.MkAbs("repository"), local.Options{})
	ts.Check(err)
	defer func() { _ = place.Close() }()
	id, err := catalog.ParseID(args[0])
	ts.Check(err)
	c := catalog.New(place, catalog.Options{Now: func() time.Time { return id.Time() }, Host: "web1"})
	_, err = backup.Media(context.Background(), backup.MediaOptions{SetOptions: backup.SetOptions{Catalog: c}, Source: ts.MkAbs(args[1])})
	ts.Check(err)
}
