package verify_test

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// Promise: with a sample of 5 % each night, a new set each night, and no more than three sets, every file is read within twenty
// nights; what is said of the last days is right each night, also when nights are left out for so long that no set that was
// sampled is there any more, when files come and go, and when what was sampled is an older set.
func TestTreeNights(t *testing.T) {
	t.Parallel()
	g := newGallery(t)
	const night = 3277.0 / 65536 // 5 % of the parts, rounded up
	var sets []catalog.Set
	var read int64
	took := map[int]bool{} // nights on which there was a verify
	for n := 1; n <= 34; n++ {
		s := g.set()
		sets = append(sets, s)
		if len(sets) > 3 {
			must(t, g.catalog.Remove(t.Context(), sets[0].Ref))
			sets = sets[1:]
		}
		if skipped := n > 21 && n <= 27; !skipped {
			v := g.verify(sets[max(0, len(sets)-1-n%3)], 0.05)
			if !v.OK {
				t.Fatal(v.Err())
			}
			took[n] = true
			if read += v.Hashed; n == 20 && (read < 42 || read > 43) { // four parts of 65536 come twice
				t.Errorf("twenty nights read %d files of 42", read)
			}
		}
		if n == 20 {
			g.file("new.pdf", "came later")
			must(t, os.Remove(filepath.Join(g.source, "again")))
		}
		list, err := g.catalog.List(t.Context(), s.Group)
		must(t, err)
		for _, days := range []int{30, 10} {
			recent := 0.0
			for k := max(1, n-days); k <= n; k++ {
				if took[k] {
					recent++
				}
			}
			want := min(1, recent*night)
			if got := verify.Covered(list, g.now.AddDate(0, 0, -days)); math.Abs(got-want) > 1e-9 {
				t.Errorf("night %d: %v within %d days, want %v", n, got, days, want)
			}
		}
	}
}
