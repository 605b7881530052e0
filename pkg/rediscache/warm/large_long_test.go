//go:build long

package warm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/rediscache/warm"
)

// Promise: a value that just fits into the 512 MB that Redis keeps under one key arrives whole, whatever the codec, and can be
// flushed; one that is larger is an error that names its key, before anything of it is sent.
func TestLargestValue(t *testing.T) {
	const most = 512 << 20
	a := servers(t)
	for _, tt := range []struct {
		codec string
		size  int
		fits  bool
	}{{warm.Raw, most, true}, {warm.Pickle, most - 100, true}, {warm.JSON, most - 2, true}, {warm.Raw, most + 1, false}, {warm.Pickle, most, false}} {
		t.Run(fmt.Sprint(tt.codec, tt.size), func(t *testing.T) {
			sum, err := a.run(warm.Entry{Query: fmt.Sprintf("SELECT 7 AS id, repeat('x', %d) AS v", tt.size), Key: "large:{id}", Value: "v", Codec: tt.codec}, warm.Options{})
			key := prefix.Key("large:7")
			if !tt.fits {
				if err == nil || !strings.Contains(err.Error(), key) || sum.Written != 0 || a.client.Exists(t.Context(), key).Val() != 0 {
					t.Errorf("%+v, %v", sum, err)
				}
				return
			}
			if err != nil || sum.Written != 1 || sum.Bytes < int64(tt.size) || sum.Bytes > most {
				t.Fatalf("%+v, %v", sum, err)
			}
			n := a.client.StrLen(t.Context(), key).Val()
			end := a.client.GetRange(t.Context(), key, -20, -1).Val()
			if n != sum.Bytes || !strings.Contains(end, "xxx") {
				t.Errorf("%d bytes are there, which end with %q", n, end)
			}
			c, err := rediscache.Open(t.Context(), rediscache.Options{URL: a.redis.URL()})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			done, err := c.Flush(t.Context(), rediscache.FlushOptions{Selection: rediscache.Selection{Prefix: prefix}})
			if err != nil || done.Keys != 1 || done.Bytes < int64(tt.size) {
				t.Errorf("%+v, %v", done, err)
			}
		})
	}
}
