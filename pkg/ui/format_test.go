package ui

import (
	"math"
	"testing"
	"time"
)

// Sizes never show more than four digits, and change unit before they would.
func TestBytes(t *testing.T) {
	tests := map[int64]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1.00 KiB", 1536: "1.50 KiB",
		10235: "10.0 KiB", 102348: "99.9 KiB", 102349: "100 KiB",
		1024*1024 - 1: "1.00 MiB", 12897484: "12.3 MiB", 1 << 30: "1.00 GiB",
		math.MaxInt64: "8.00 EiB", -2048: "-2.00 KiB", math.MinInt64: "-8.00 EiB",
	}
	for n, want := range tests {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

// Durations keep the precision that matters and carry over into the next unit.
func TestDuration(t *testing.T) {
	tests := map[time.Duration]string{
		0: "0s", 1: "1ms", 35 * time.Millisecond: "35ms", 999*time.Millisecond + 1: "1.0s",
		time.Second: "1.0s", 4200 * time.Millisecond: "4.2s", 9949 * time.Millisecond: "9.9s",
		9990 * time.Millisecond: "10s", 59*time.Second + 600*time.Millisecond: "1m00s",
		92 * time.Second: "1m32s", 59*time.Minute + 59*time.Second + 500*time.Millisecond: "1h00m",
		125 * time.Minute: "2h05m", 76 * time.Hour: "3d04h", -92 * time.Second: "-1m32s",
	}
	for d, want := range tests {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%d) = %q, want %q", d, got, want)
		}
	}
}

// Ages stay in hours up to two days: 26h is the question about a nightly run.
func TestAge(t *testing.T) {
	const day = 24 * time.Hour
	tests := map[time.Duration]string{
		0: "now", 45 * time.Second: "45s", 12*time.Minute + 59*time.Second: "12m", 5 * time.Hour: "5h",
		26 * time.Hour: "26h", 47*time.Hour + 59*time.Minute: "47h", 2 * day: "2d", 55 * day: "55d",
		56 * day: "8w", 400 * day: "57w", -5 * time.Hour: "in 5h",
	}
	for d, want := range tests {
		if got := Age(d); got != want {
			t.Errorf("Age(%s) = %q, want %q", d, got, want)
		}
	}
}

// Counts are grouped from the right, also at the borders of a group.
func TestCount(t *testing.T) {
	tests := map[int64]string{
		0: "0", 999: "999", 1000: "1 000", 1234567: "1 234 567", -1000: "-1 000",
		math.MinInt64: "-9 223 372 036 854 775 808",
	}
	for n, want := range tests {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}
