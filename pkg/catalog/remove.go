package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/store"
)

func partialName(ref Ref) string { return ref.Group.Dir() + "/" + partialPrefix + string(ref.ID) }

// Remove removes a set. It is gone at once; a process that is killed meanwhile leaves .partial-<id>, for Sweep.
func (c *Catalog) Remove(ctx context.Context, ref Ref) error {
	if err := ref.Validate(); err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	if err := c.exists(ctx, ref); err != nil {
		return fmt.Errorf("remove %w", err)
	}
	if err := c.remove(ctx, ref); err != nil {
		return fmt.Errorf("remove %s: %w", ref, err)
	}
	return nil
}

func (c *Catalog) remove(ctx context.Context, ref Ref) error {
	if r, ok := c.store.(store.Renamer); ok {
		// A leftover of an earlier run that nobody swept.
		if err := c.store.Delete(ctx, partialName(ref)); err != nil {
			return err
		}
		if err := r.Rename(ctx, ref.Dir(), partialName(ref)); err != nil {
			return err
		}
		return c.store.Delete(ctx, partialName(ref))
	}
	if err := c.mark(ctx, ref); err != nil {
		return err
	}
	if err := c.store.Delete(ctx, ref.Dir()+"/"+SumsName); err != nil {
		return err
	}
	if err := c.store.Delete(ctx, ref.Dir()); err != nil {
		return err
	}
	return c.store.Delete(ctx, partialName(ref))
}

// Sweep removes what dead runs left in a group, and returns the names of the sets that they
// were to become, as Ref.String spells them. It never removes a directory
// only because it has no SHA256SUMS: that may be a set which lost it. The caller holds the lock that every
// writer of the group holds, so that no run is alive.
func (c *Catalog) Sweep(ctx context.Context, g Group) (removed []string, err error) {
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	entries, err := c.store.List(ctx, g.Dir())
	if err != nil {
		return nil, fmt.Errorf("sweep %s: %w", g, err)
	}
	var errs []error
	for _, e := range entries {
		rest, found := strings.CutPrefix(e.Name, partialPrefix)
		id, err := ParseID(rest)
		if !found || err != nil {
			continue
		}
		unfinished, err := c.sweep(ctx, Ref{g, id})
		if err != nil {
			errs = append(errs, err)
		} else if unfinished {
			removed = append(removed, Ref{g, id}.String())
			c.log.InfoContext(ctx, "removed the leftovers of a dead run", "set", Ref{g, id}.String())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return removed, fmt.Errorf("sweep %s: %w", g, err)
	}
	return removed, nil
}

func (c *Catalog) sweep(ctx context.Context, ref Ref) (unfinished bool, err error) {
	unfinished = true
	if _, ok := c.store.(store.Renamer); !ok {
		// The mark says that this directory may be unfinished; SHA256SUMS, that it is not.
		err := c.exists(ctx, ref)
		switch {
		case err == nil:
			unfinished = false
		case !errors.Is(err, ErrNotFound):
			return false, err
		default:
			if err := c.store.Delete(ctx, ref.Dir()); err != nil {
				return false, err
			}
		}
	}
	return unfinished, c.store.Delete(ctx, partialName(ref))
}

// mark says, in a store that cannot rename, that the directory of a set may be unfinished.
func (c *Catalog) mark(ctx context.Context, ref Ref) error {
	return c.store.Put(ctx, partialName(ref), writeAll([]byte("incomplete\n")))
}

// unmark takes the mark back. If that fails, the next Sweep finds SHA256SUMS and does it.
func (c *Catalog) unmark(ctx context.Context, ref Ref) {
	if err := c.store.Delete(ctx, partialName(ref)); err != nil {
		c.log.WarnContext(ctx, "a finished set is still marked as unfinished", "set", ref.String(), "error", err)
	}
}
