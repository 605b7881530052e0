package catalog_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// A set is written as a draft, published, and from then on it is listed.
func Example() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	s, err := local.Open(dir, local.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	ctx := context.Background()
	c := catalog.New(s, catalog.Options{
		Now:  func() time.Time { return time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC) },
		Host: "web1", Version: "1.0.0",
	})
	group := catalog.Group{Kind: catalog.KindDatabase, Database: "bmad_forge"}

	write := func() error {
		draft, err := c.Begin(ctx, group)
		if err != nil {
			return err
		}
		defer draft.Discard(ctx)
		blob, err := draft.Put(ctx, "20-data.dump.zst", func(w io.Writer) error {
			_, err := io.WriteString(w, "rows")
			return err
		})
		if err != nil {
			return err
		}
		_, err = draft.Publish(ctx, catalog.Manifest{Artifacts: []catalog.Artifact{{Name: blob.Name}}})
		return err
	}
	fmt.Println(write())

	sets, err := c.List(ctx, group)
	fmt.Println(len(sets), err)
	good, _ := sets[0].Good()
	fmt.Println(sets[0], good)
	// Output:
	// <nil>
	// 1 <nil>
	// bmad_forge/20261123T020000Z true
}
