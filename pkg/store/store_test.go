package store_test

import (
	"errors"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/store"
)

// Only clean relative names that no write in progress may have are names.
func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "a/b.c": true, ".partial-x/y": true, "..a": true, "%2E/x": true, "ä": true, ".tmp": true, "a.tmp-1": true,
		"": false, ".": false, "..": false, "a/..": false, "../a": false, "/a": false, "a/": false, "a//b": false, "./a": false,
		"a/./b": false, "a\x00b": false, "\xff": false, ".a.tmp-X": false, ".a.tmp-X/b": false,
	} {
		if err := store.CheckName(name); (err == nil) != ok || err != nil && !errors.Is(err, store.ErrName) {
			t.Errorf("CheckName(%q) = %v", name, err)
		}
	}
	if err := store.CheckDir(""); err != nil {
		t.Errorf("the top is a directory: %v", err)
	}
}
