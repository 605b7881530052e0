package main

import "testing"

// Numbers of things are said as people say them.
func TestThings(t *testing.T) {
	for want, got := range map[string]string{
		"1 entry": things(1, "entry"), "2 entries": things(2, "entry"), "0 files": things(0, "file"), "1 234 directories": things(1234, "directory"), "2 keys": things(2, "key"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
