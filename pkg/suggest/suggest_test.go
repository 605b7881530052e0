package suggest

import "testing"

// Promise: a slip of the fingers is seen through, and what is far from everything
// known gets no answer.
func TestNearest(t *testing.T) {
	known := []string{"repository", "state_dir", "media", "jobs", "url"}
	for s, want := range map[string]string{
		"repository": "repository", "repositry": "repository", "respository": "repository", "Repository": "repository",
		"statedir": "state_dir", "job": "jobs", "ulr": "url", "medai": "media", "repo": "repository", "xyz": "", "": "", "u": "", "completely": "",
	} {
		if got := Nearest(s, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", s, got, want)
		}
	}
}
