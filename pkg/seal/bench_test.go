package seal

import (
	"bytes"
	"context"
	"io"
	"testing"
)

func BenchmarkWriter(b *testing.B) {
	data := dump(128 << 20)
	key := generated(b, "bench", nil)
	for _, level := range []struct {
		name  string
		level Level
	}{{"default", Default}, {"fastest", Fastest}, {"better", Better}} {
		for _, sealed := range []bool{false, true} {
			b.Run(level.name+Suffix(sealed), func(b *testing.B) {
				o := Options{Level: level.level}
				if sealed {
					o.Recipients = []*Key{key}
				}
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				var out counter
				for b.Loop() {
					out = 0
					w, err := NewWriter(&out, o)
					if err != nil {
						b.Fatal(err)
					}
					if _, err := w.ReadFrom(bytes.NewReader(data)); err != nil {
						b.Fatal(err)
					}
					if err := w.Close(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(data))/float64(out), "ratio")
			})
		}
	}
}

func BenchmarkReader(b *testing.B) {
	data := dump(128 << 20)
	key := generated(b, "bench", nil)
	for _, sealed := range []bool{false, true} {
		b.Run("default"+Suffix(sealed), func(b *testing.B) {
			o := Options{}
			if sealed {
				o.Recipients = []*Key{key}
			}
			packed, unlock := pack(b, data, o)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				r, err := NewReader(context.Background(), bytes.NewReader(packed), sealed, unlock)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
