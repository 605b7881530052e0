package restore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/archive"
	"github.com/bmad-forge/forgectl/pkg/atomicfile"
)

// UndoName is the script in a directory of kept files that brings them back.
const UndoName = "undo"

// keep copies what is about to be changed below Aside, and writes the script that brings it back. Nothing of it is
// visible under its name before it is whole and on stable storage.
func (o ConfigOptions) keep(ctx context.Context, changes []ConfigChange, paths []string) (kept string, err error) {
	kept = filepath.Join(o.Aside, "config-"+o.Now().UTC().Format("20060102T150405.000000Z"))
	if err := atomicfile.MkdirAll(o.Aside, 0o700); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(o.Aside, ".partial-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	files := filepath.Join(temp, "files")
	if err := os.Mkdir(files, 0o700); err != nil {
		return "", err
	}
	if err := copyAside(ctx, changes, paths, files); err != nil {
		return "", err
	}
	if err := atomicfile.Write(filepath.Join(temp, UndoName), 0o700, undoScript(kept, changes)); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(o.Aside)
	if err != nil {
		return "", err
	}
	defer root.Close()
	return kept, atomicfile.RenameNew(root, filepath.Base(temp), filepath.Base(kept))
}

// copyAside packs what is there, and unpacks of it what will be changed, provided that it is still what the plan saw.
func copyAside(ctx context.Context, changes []ConfigChange, paths []string, to string) error {
	wanted := map[string]ConfigChange{}
	for _, c := range changes {
		if c.Live != nil {
			wanted[c.Path] = c
			if c.Live.Link != "" { // its content lies there
				wanted[c.Live.Link] = c
			}
		}
	}
	r, w := io.Pipe()
	var live archive.Packed
	packed := make(chan struct{})
	go func() {
		defer close(packed)
		var err error
		live, err = archive.Pack(ctx, w, paths, archive.PackOptions{})
		w.CloseWithError(err)
	}()
	x := archive.ExtractOptions{Special: true, ReadOptions: archive.ReadOptions{Links: archive.LinksAsStored}, Select: func(e archive.Entry) bool {
		_, found := wanted[e.Path]
		return found
	}}
	if os.Geteuid() == 0 {
		x.Owner = func(e archive.Entry) (int, int) { return e.UID, e.GID }
	}
	_, err := archive.Extract(ctx, r, to, x)
	_ = r.CloseWithError(err) // a packer that still writes ends
	<-packed
	if err != nil {
		return err
	}
	now := byPath(live.Entries)
	for _, c := range changes {
		e := now[c.Path]
		if (e == nil) != (c.Live == nil) || e != nil && !e.Same(*c.Live) {
			return fmt.Errorf("%s: %w", c.Name(), ErrConfigChanged)
		}
	}
	return nil
}

// undoScript is for sh and the tools of every host.
func undoScript(kept string, changes []ConfigChange) []byte {
	var b bytes.Buffer
	b.WriteString("#!/bin/sh\n# Brings back what forgectl restore config replaced, and removes what it added.\nset -eu\n")
	fmt.Fprintf(&b, "kept=%s\n", quote(kept))
	for _, c := range slices.Backward(changes) {
		name := quote(c.Name())
		switch {
		case c.State == ConfigAdd && c.Type == archive.Dir:
			fmt.Fprintf(&b, "rmdir -- %s || true\n", name) // others may have put something into it
		case c.State == ConfigAdd:
			fmt.Fprintf(&b, "rm -f -- %s\n", name)
		case c.Type == archive.Dir:
			fmt.Fprintf(&b, "chmod %04o -- %s\n", c.Live.Mode, name)
			if os.Geteuid() == 0 {
				fmt.Fprintf(&b, "chown %d:%d -- %s\nchmod %04o -- %s\n", c.Live.UID, c.Live.GID, name, c.Live.Mode, name)
			}
		default:
			fmt.Fprintf(&b, "cp -a --remove-destination --no-target-directory -- \"$kept/files\"%s %s\n", name, name)
		}
	}
	return b.Bytes()
}

// quote makes one word of a shell of any text.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
