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

// Promise: what was rehashed is not said to be everything as long as a file is missing.
func TestWholePercent(t *testing.T) {
	for share, want := range map[float64]int{0: 0, 0.0499: 4, 0.29: 29, 0.98: 98, 65535.0 / 65536: 99, 1: 100} {
		if got := wholePercent(share); got != want {
			t.Errorf("%v is %d %%, want %d", share, got, want)
		}
	}
}
