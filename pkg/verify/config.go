package verify

import (
	"context"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/configset"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
)

// config examines a set of configuration files. Decoding it compares every entry of the archive with the index. There
// is nothing more that a drill could try: it is a decode then, and is recorded as one.
func (o Options) config(ctx context.Context, v *Verdict) error {
	if o.Level == catalog.LevelDrill {
		o.Level, v.Level = catalog.LevelDecode, catalog.LevelDecode
	}
	whole, err := o.sums(ctx, v, dumpset.Reader{Catalog: o.Catalog, Set: v.Set, Unlock: o.Unlock})
	if err != nil || !whole || o.Level != catalog.LevelDecode {
		return err
	}
	return o.stage(v, "decode", func() (err error) {
		reader := configset.Reader{Catalog: o.Catalog, Set: v.Set, Unlock: o.Unlock, Progress: o.meter("decode", rawBytes(v.Set))}
		v.Damage, err = reader.Compare(ctx)
		return err
	})
}
