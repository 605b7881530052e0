package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bmad-forge/forgectl/pkg/archive"
	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/configset"
)

// ConfigTo unpacks the chosen files below a directory, which is made, or must be empty. A directory that was made is
// removed again after an error. The plan of the result has the entries, all of them as added.
func ConfigTo(ctx context.Context, o ConfigOptions, dir string) (p ConfigPlan, err error) {
	o = o.withDefaults()
	index, p, err := o.prove(ctx)
	if err != nil {
		return p, err
	}
	chosen, err := o.chosen(index)
	if err != nil {
		return p, err
	}
	made := os.Mkdir(dir, 0o700)
	if made != nil && !errors.Is(made, os.ErrExist) {
		return p, made
	}
	owners := newOwners()
	x := archive.ExtractOptions{ReadOptions: configset.ReadOptions(), Special: owners.permitted, Select: wholeLinks(index, chosen)}
	if owners.permitted {
		x.Owner = owners.of
	}
	for _, e := range index {
		switch {
		case !chosen(e):
		case e.Stored():
			owners.of(e)
			p.Entries = append(p.Entries, ConfigChange{Entry: e, State: ConfigAdd})
		default:
			p.Unstored = append(p.Unstored, unstored(e))
		}
	}
	for _, a := range o.Set.Manifest.Artifacts {
		if a.Name != o.reader().Name(configset.ArchiveName) {
			continue
		}
		err = o.unpack(ctx, dir, x, func(ctx context.Context) (io.ReadCloser, error) {
			return artifact.Open(ctx, o.Catalog, o.Set.Ref, a, o.Unlock, nil)
		}, &p)
	}
	if err != nil && made == nil {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	p.Warnings = append(p.Warnings, owners.warnings()...)
	return p, err
}

func (o ConfigOptions) unpack(ctx context.Context, dir string, x archive.ExtractOptions, open func(context.Context) (io.ReadCloser, error), p *ConfigPlan) error {
	plain, err := open(ctx)
	if err != nil {
		return err
	}
	defer plain.Close()
	done, err := archive.Extract(ctx, plain, dir, x)
	if err == nil {
		_, err = io.Copy(io.Discard, plain) // to its proven end
	}
	if done.Attributes > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%d extended attributes were not taken by the file system", done.Attributes))
	}
	for _, path := range done.Dropped {
		p.Warnings = append(p.Warnings, "/"+path+": setuid and setgid bits were dropped: only root may set them")
	}
	return err
}

// wholeLinks chooses also the first names of hard links that were chosen.
func wholeLinks(index []archive.Entry, chosen func(archive.Entry) bool) func(archive.Entry) bool {
	firsts := map[string]bool{}
	for _, e := range index {
		if e.Link != "" && chosen(e) {
			firsts[e.Link] = true
		}
	}
	return func(e archive.Entry) bool { return chosen(e) || firsts[e.Path] }
}

// ConfigFile is a file that differs, with both contents.
type ConfigFile struct {
	ConfigChange
	Old, New []byte // of what is there, and of the set; nil where there is none, or it is no file
}

// maxDiff is the size of the largest file that is compared line by line; of larger ones only the hashes are.
const maxDiff = 4 << 20

// DiffConfig plans, and hands every file whose content differs to show, in order.
func DiffConfig(ctx context.Context, o ConfigOptions, show func(ConfigFile) error) (ConfigPlan, error) {
	o = o.withDefaults()
	p, index, err := o.plan(ctx)
	if err != nil {
		return p, err
	}
	changes := map[string]ConfigChange{}
	for _, c := range p.Changes() {
		changes[c.Path] = c
	}
	contents := map[string][]byte{} // that hard links need
	needed := map[string]bool{}
	for _, e := range index {
		needed[e.Link] = true
	}
	return p, o.reader().Each(ctx, index, func(e archive.Entry, content io.Reader) error {
		c, found := changes[e.Path]
		f := ConfigFile{ConfigChange: c}
		var err error
		if e.Type == archive.File && e.Link == "" && e.Size <= maxDiff {
			if f.New, err = io.ReadAll(content); err != nil {
				return err
			}
			if needed[e.Path] {
				contents[e.Path] = f.New
			}
		}
		if !found {
			return nil
		}
		if e.Link != "" {
			f.New = contents[e.Link]
		}
		if c.Live != nil && c.Live.Type == archive.File && c.Live.Size <= maxDiff {
			if f.Old, err = os.ReadFile(c.Name()); err != nil {
				return err
			}
		}
		return show(f)
	})
}
