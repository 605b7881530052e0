package main

import (
	"testing"

	"github.com/bmad-forge/forgectl/pkg/media"
)

// Promise: what of a backup of media only its index has is said, with the first path of each kind; nothing is no line.
func TestUnkeptMedia(t *testing.T) {
	for want, unkept := range map[string]media.Unkept{
		"": {},
		"only in the index: the owner or group of 1 path, the first is a; only root can set it\n": {Owners: media.Some{Count: 1, First: "a"}},
		"only in the index: the owner or group of 2 paths, the first is \"a\\n\"; only root can set it\n" +
			"only in the index: 1 234 extended attributes, the first of b; not permitted, or not known to the file system of the repository\n": {
			Owners: media.Some{Count: 2, First: "a\n"}, Xattrs: media.Some{Count: 1234, First: "b"},
		},
	} {
		if got := unkeptMedia(unkept); got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
}
