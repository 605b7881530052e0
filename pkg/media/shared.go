package media

import (
	"context"
	"slices"

	"golang.org/x/sys/unix"
)

// FindShared looks for damaged files in other trees of the repository: a hard link is the same file, whatever tree and
// name it is reached by. The result has the paths for each tree, sorted. A tree that cannot be opened has none.
func FindShared(ctx context.Context, damaged []Difference, trees []Stored) ([][]string, error) {
	s := &sharing{left: map[[2]uint64]uint64{}, paths: make([][]string, len(trees))}
	hints := map[[2]uint64][]string{}
	for _, d := range damaged {
		if key := [2]uint64{d.Dev, d.Inode}; d.Shared && d.Links > 1 {
			if _, known := s.left[key]; !known {
				s.left[key] = d.Links
			}
			s.left[key]-- // the name it was found by
			hints[key] = append(hints[key], d.Path)
		}
	}
	if len(s.left) == 0 {
		return s.paths, nil
	}
	roots := make([]*openedTree, len(trees))
	for i, t := range trees {
		if path, err := t.Tree(); err == nil {
			roots[i], _ = openOwnTree(path)
		}
		defer roots[i].close()
	}
	for i, root := range roots {
		if root == nil {
			continue
		}
		at := root.finder()
		for key, paths := range hints {
			for _, p := range paths {
				var st unix.Stat_t
				if _, _, err := at.stat(p, &st); err == nil && st.Ino == key[1] && st.Dev == key[0] {
					s.seen(i, p, key)
				}
			}
		}
		at.close()
	}
	// The number of its names says whether any is still missing; that one can be anywhere.
	for i, root := range roots {
		if root == nil || s.complete() {
			continue
		}
		known := slices.Clone(s.paths[i])
		err := walkBelow(root.fd(), Root, make([]byte, listBuffer), func(path string, st *unix.Stat_t) error {
			key := [2]uint64{st.Dev, st.Ino}
			if _, wanted := s.left[key]; wanted && !slices.Contains(known, path) && kindOf(st.Mode) != Dir {
				s.seen(i, path, key)
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	for i := range s.paths {
		slices.SortFunc(s.paths[i], Compare)
	}
	return s.paths, nil
}

// sharing is how many names of each file are still to be found, and those that were.
type sharing struct {
	left  map[[2]uint64]uint64
	paths [][]string
}

func (s *sharing) seen(tree int, path string, key [2]uint64) {
	s.left[key]--
	s.paths[tree] = append(s.paths[tree], path)
}

func (s *sharing) complete() bool {
	for _, n := range s.left {
		if n != 0 {
			return false
		}
	}
	return true
}
