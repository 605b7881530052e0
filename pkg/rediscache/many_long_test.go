//go:build long

package rediscache_test

import (
	"runtime"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/rediscache/redistest"
)

// Promise: of 2,000,000 keys a survey counts each once and measures a bounded part, and a flush removes exactly the
// application's 1,000,000, in memory that does not grow with them.
func TestTwoMillionKeys(t *testing.T) {
	s := redistest.Start(t)
	other := s.Client(t)
	for _, prefix := range []string{"bmad:1:template", "other:1:template"} {
		must(t, other.Do(t.Context(), "DEBUG", "POPULATE", "1000000", prefix, "100").Err())
	}
	c := open(t, rediscache.Options{URL: s.URL()})
	survey, err := c.Survey(t.Context(), rediscache.SurveyOptions{Selection: rediscache.Selection{Prefix: bmad, All: true}, Bound: 20_000})
	must(t, err)
	ours, theirs := survey.Groups["bmad:1:template:*"], survey.Groups["other:1:template:*"]
	if survey.Looked != 2_000_000 || len(survey.Groups) != 2 || ours.Keys != 1_000_000 || theirs.Keys != 1_000_000 {
		t.Fatalf("%+v", survey)
	}
	exact, err := other.MemoryUsage(t.Context(), "bmad:1:template:500000").Result()
	must(t, err)
	if n := ours.Measured + theirs.Measured; n < 15_000 || n > 25_000 {
		t.Errorf("%d keys were measured", n)
	}
	if bytes, _ := ours.Estimate(); bytes < exact*900_000 || bytes > exact*1_100_000 {
		t.Errorf("%d bytes, where a key has %d", bytes, exact)
	}
	before := heap()
	worst := uint64(0)
	done, err := c.Flush(t.Context(), rediscache.FlushOptions{Selection: rediscache.Selection{Prefix: bmad}, Progress: func(looked, total int64) {
		if total != 2_000_000 {
			t.Errorf("%d keys in all", total)
		}
		if looked%200_000 == 0 {
			worst = max(worst, heap())
		}
	}})
	must(t, err)
	if left := other.DBSize(t.Context()).Val(); done.Keys != 1_000_000 || done.Looked != 1_000_000 || left != 1_000_000 || other.Exists(t.Context(), "other:1:template:0").Val() != 1 {
		t.Errorf("%+v, %d are left", done, left)
	}
	if worst > before+20<<20 {
		t.Errorf("%d MB at the worst, %d before", worst>>20, before>>20)
	}
	t.Logf("%+v", done)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
